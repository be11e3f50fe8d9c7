"""Build a card from stored results: facts only; the template decides how they look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_embedbench.load.notes import busy_note, is_client_limited, overload_note
from pytest_embedbench.load.rates import SEARCH_END_TEXTS, RateResult
from pytest_embedbench.load.statistics import TOKENS_FROM, ProfileResult
from pytest_embedbench.machine.environment import short_hardware_name
from pytest_embedbench.reports.cards import format as fmt
from pytest_embedbench.reports.cards.facts import (
    Benchmarks,
    Block,
    Card,
    Count,
    Counts,
    Facets,
    Field,
    Figure,
    HighestRate,
    Link,
    NamedFigure,
    Overview,
    Part,
    Performance,
    Plot,
    Quality,
    Rates,
    Reference,
    Section,
    TextBlock,
)
from pytest_embedbench.reports.text import item, link_text, link_url, one_line, yaml_value
from pytest_embedbench.results.schema import DatasetRecord, ModelRecord, PairResult

QUALITY = ("ndcg@10", "map@10", "mrr@10")
"""Measures on a card's quality line."""


def build_card(results: Sequence[PairResult], plots: Sequence[Sequence[Plot]] = ()) -> Card:
    """Return the card of one model from its results, one section per result, in the given order.

    Args:
        results: of one model.
        plots: for each result the pictures that lie beside the card; empty if there are none.

    Raises:
        ValueError: there is no result, or the results are of several models.
    """
    names = {result.embedbench.model.name for result in results}
    if len(names) != 1:
        raise ValueError(f"a card is of one model, not of {', '.join(sorted(names)) or 'none'}")
    model = results[-1].embedbench.model
    description = one_line(model.spec.description)
    parts: list[Part] = [
        Overview(rows=_overview(model)),
        Benchmarks(sections=tuple(map(_section, results, plots or [()] * len(results)))),
    ]
    return Card(
        title=one_line(model.name),
        front_matter=_front_matter(model, max(result.embedbench.measured_on for result in results)),
        description=(description,) if description else (),
        links=_links(model),
        parts=tuple(parts),
    )


def _front_matter(model: ModelRecord, measured_on: str) -> tuple[Field, ...]:
    parameters = _parameters(model)
    size = f"{parameters} parameters" if parameters else ""
    summary = " ".join(
        sentence
        for sentence in (
            model.spec.summary or model.spec.description,
            f"{', '.join(filter(None, (_architecture(model), size)))}.",
        )
        if sentence.strip(".")
    )
    fields = {
        "title": model.name,
        "description": summary,
        "canonical_url": model.spec.canonical_url,
        "last_updated": measured_on,
    }
    return tuple(Field(name=name, value=yaml_value(value)) for name, value in fields.items() if value)


def _links(model: ModelRecord) -> tuple[Link, ...]:
    links = []
    if model.spec.source:
        host = " on HuggingFace" if model.spec.source.startswith("https://huggingface.co/") else ""
        # The source is the checkpoint, whatever the variant.
        name = model.name.removesuffix(str(model.spec.variant))
        links.append(Link(label="Source", text=link_text(name + host), url=link_url(model.spec.source)))
    if base := model.spec.base_model:
        links.append(Link(label="Base model", text=link_text(base), url=link_url(f"https://huggingface.co/{base}")))
    return tuple(links)


def _overview(model: ModelRecord) -> tuple[Field, ...]:
    # Facts come from the loaded model; where there are none, the catalogue or the suite may know.
    dimensions = model.facts.dimensions or model.spec.dimensions
    # If a model is not lexical and has no dimensions, its kind is unknown (published numbers), and rows are left out.
    lexical = model.spec.kind == "bm25"
    length = model.facts.max_tokens or model.spec.max_tokens
    rows = {
        "Architecture": _architecture(model),
        "Parameters": _parameters(model),
        "Tasks": "Retrieve" if lexical else "Encode" if dimensions else "",
        "Outputs": "Scores" if lexical else _outputs(model) if dimensions else "",
        "Dimensions": f"Dense: {dimensions:,}" if dimensions else "",
        "Similarity": model.facts.similarity or model.spec.similarity or "",
        "Max sequence length": f"{length:,} tokens" if length else "",
        "License": model.spec.licence,
        "Inputs": "text",
    }
    return tuple(Field(name=name, value=one_line(value, cell=True)) for name, value in rows.items() if value)


def _outputs(model: ModelRecord) -> str:
    precision = model.spec.precision
    return "Dense" if precision == "float32" else f"Dense, {precision}"


def _architecture(model: ModelRecord) -> str:
    return model.spec.architecture or model.facts.architecture


def _parameters(model: ModelRecord) -> str:
    count = model.facts.parameters or model.spec.parameters
    return fmt.parameters(count) if count else ""


def _section(result: PairResult, plots: Sequence[Plot]) -> Section:
    details = result.embedbench
    dataset = details.dataset
    blocks: list[Block] = []
    # The order of the blocks is that of the page.
    facets = {"Domain": dataset.facts.domain, "Task": dataset.facts.task, "Language": dataset.facts.language}
    if fields := tuple(Field(name=name, value=item(value)) for name, value in facets.items() if value):
        blocks.append(Facets(fields=fields))
    if dataset.facts.description:
        blocks.append(TextBlock(text=one_line(dataset.facts.description)))
    if details.origin:
        blocks.append(TextBlock(text=one_line(f"Numbers from {details.origin}")))
    blocks += _counts(dataset)
    measures = tuple(
        NamedFigure(name=fmt.metric_label(name), figure=Figure(text=fmt.score(details.means[name])))
        for name in QUALITY
        if name in details.means
    )
    if measures:
        blocks.append(Quality(measures=measures))
    for profile in details.profiles.values():
        blocks += _performance(profile)
    if details.max_rates:
        blocks.append(Rates(rows=tuple(map(_highest_rate, details.max_rates.values()))))
        for search in details.max_rates.values():
            if busy := busy_note(search.circumstances):
                blocks.append(TextBlock(text=one_line(f"Highest rate of {search.side} at {search.batch}: {busy}")))
    blocks += plots
    if dataset.facts.reference:
        blocks.append(Reference(url=link_url(dataset.facts.reference)))
    return Section(name=one_line(dataset.name), blocks=tuple(blocks))


def _counts(dataset: DatasetRecord) -> list[Block]:
    """Return the sizes; none if the data were not available, as for published numbers."""
    queries = dataset.queries or dataset.queries_in_file
    if dataset.documents is None or queries is None:
        return []
    texts = dataset.unique_texts
    note = "" if texts in {None, dataset.documents} else f"{texts:,} unique texts"
    corpus = Count(name="Corpus", figure=Figure(text=fmt.count(dataset.documents)), note=note)
    return [Counts(counts=(corpus, Count(name="Queries", figure=Figure(text=fmt.count(queries)))))]


def _performance(profile: ProfileResult) -> Iterator[Block]:
    """Yield a profile's line; a side that has not shown that it keeps up with an open loop gets a text instead."""
    name = item(f"{short_hardware_name(profile.hardware)} {profile.shape}")
    sides = {"Corpus": profile.corpus, "Query": profile.query}
    values: dict[str, str] = {}
    for side, statistics in sides.items():
        p50 = _latency(statistics.p50_ms)
        # A closed loop has a throughput of its own; in an open loop it is only the rate that was asked for.
        if statistics.arrivals is None:
            # The name and the figure are printed one after the other: "Corpus at least 6.1K tok/s".
            rate = f"{side} at least" if is_client_limited(statistics) else side
            values |= {rate: fmt.rate(statistics.tokens_per_s), f"{side} p50": p50}
        elif statistics.arrivals.kept_up:
            values |= {f"{side} p50": p50, f"{side} p99": _latency(statistics.p99_ms)}
    measures = tuple(NamedFigure(name=name, figure=Figure(text=text)) for name, text in values.items() if text)
    if measures:
        yield Performance(profile=name, measures=measures)
    sources = {side: TOKENS_FROM[statistics.tokens_from or "tokenizer"] for side, statistics in sides.items()}
    for source in dict.fromkeys(filter(None, sources.values())):
        what = " and ".join(side for side, other in sources.items() if other == source)
        text = (
            f"{what} tokens under {name} are {source}, not the model's tokenizer's: compare them with no other server's"
        )
        if any(statistics.arrivals is None for statistics in sides.values()):
            yield TextBlock(text=one_line(text))
    for side, statistics in sides.items():
        if reason := overload_note(statistics):
            yield TextBlock(text=one_line(f"{side} under {name}: {reason}"))
    if busy := busy_note(profile.circumstances):
        yield TextBlock(text=one_line(f"{name}: {busy}"))


def _highest_rate(search: RateResult) -> HighestRate:
    outcome = search.found
    return HighestRate(
        side=search.side.capitalize(),
        batch=Figure(text=fmt.count(search.batch)),
        limit=Figure(text=fmt.latency(outcome.limit_ms)),
        held=Figure(text=fmt.request_rate(outcome.rate)) if outcome.rate else None,
        at_least=outcome.is_lower_bound,
        failed=None if outcome.refuted is None else Figure(text=fmt.request_rate(outcome.refuted)),
        ended=f"{outcome.tried}, {SEARCH_END_TEXTS[outcome.ended]}",
        hardware=one_line(short_hardware_name(search.hardware), cell=True),
    )


def _latency(milliseconds: float | None) -> str:
    """Format a latency; empty if there were too few samples for it."""
    return "" if milliseconds is None else fmt.latency(milliseconds)
