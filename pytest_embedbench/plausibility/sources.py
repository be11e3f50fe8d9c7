"""Read rows of reported numbers from model cards, the project's own results, and MTEB's result files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from pytest_embedbench.core.decoding import DecodingError, decode_loose_json
from pytest_embedbench.core.measures import Measure, parse_measure
from pytest_embedbench.errors import ResultError
from pytest_embedbench.load.statistics import SideStatistics
from pytest_embedbench.plausibility.model_index import index_rows, split_front_matter
from pytest_embedbench.plausibility.rounding import with_rounding
from pytest_embedbench.plausibility.rows import PlausibilityFinding, ReportedRow, ReportedValue, finding_about
from pytest_embedbench.reports.cards.facts import Card, Figure, Section
from pytest_embedbench.reports.cards.format import metric_name
from pytest_embedbench.reports.cards.parsing import parse
from pytest_embedbench.reports.errors import CardError
from pytest_embedbench.results import mteb
from pytest_embedbench.results.schema import UNSEEN, PairResult

LATENCY_STATISTICS = ("min", "p50", "p90", "p95", "p99", "mean", "max")
MILLISECONDS_IN = {"ms": 1.0, "s": 1000.0}
"""Unit on a card -> milliseconds."""

_CARD_LINE = re.compile(r"^\*\*(?:Quality:|Performance)", re.MULTILINE)
"""The start of a line of numbers on a card."""

_MODEL_INDEX = re.compile(r"^model-index:", re.MULTILINE)

_PRINTED_NUMBER = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?")


class UnknownFormError(ResultError):
    """A file is neither a card nor a result; when a folder is read, such files are skipped."""


def files(path: Path) -> list[Path]:
    """Return the file itself, or every file below a folder that may be a card or a result."""
    if not path.is_dir():
        return [path]
    suffixes = {".json", ".md"}
    # MTEB's model_meta.json lies beside results but holds no scores; hidden folders hold caches and repositories.
    candidates = (file for file in path.rglob("*") if file.suffix in suffixes and file.name != "model_meta.json")
    return sorted(file for file in candidates if not any(part.startswith(".") for part in file.relative_to(path).parts))


class NothingToCheckError(UnknownFormError):
    """A page without any number that could be checked, e.g. a README about a classifier."""


class Reading(NamedTuple):
    """Rows of a file, and findings about the file as a whole."""

    rows: Sequence[ReportedRow]
    findings: Sequence[PlausibilityFinding] = ()


def read(path: Path) -> Reading:
    """Read one file: JSON as a result (ours or MTEB's), anything else as a model card or a README on the Hub.

    The errors do not name the file; callers print it beside them.

    Raises:
        NothingToCheckError: a page has no numbers that could be checked.
        UnknownFormError: the file has none of the known forms.
        ResultError: the file cannot be read, or has the marks of a known form but is malformed.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ResultError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ResultError("is not a text file in UTF-8") from None
    return Reading(_json_rows(text, path)) if path.suffix == ".json" else _page(text, path)


def read_rows(path: Path) -> list[ReportedRow]:
    """Return the rows of one file; see ``read``."""
    return list(read(path).rows)


# Cards and READMEs


def _page(text: str, path: Path) -> Reading:
    """Read a card, or the README of a model on the Hub, whose scores are in the front matter and maybe in a card."""
    # A card's own front matter has plain keys, and need not be YAML.
    front, body = split_front_matter(text) if _MODEL_INDEX.search(text) else ({}, text)
    index = index_rows(front.get("model-index"), str(path))
    try:
        # Our own export has the Hub's front matter before a card.
        rows = card_rows(parse(body), str(path))
    except CardError as error:
        if not _CARD_LINE.search(body):
            rows = []
        elif index.rows:
            # Owners add sections of their own to a README; what the front matter says is checked all the same.
            message = "only the model-index of its front matter was read: the text below is no card"
            note = PlausibilityFinding(level="note", rule="partly-read", message=message, file=str(path))
            return Reading(index.rows, [note])
        else:
            # A page with such lines is meant to be a card, so its fault must not be passed over.
            raise ResultError(f"is not a model card: {error}") from None
    if index.rows or rows:
        return _together(index.rows, rows)
    looked_for = "no **Quality:** or **Performance** line of a card, no retrieval score (ndcg_at_10) in a model-index"
    # A model-index that stands there, but in no front matter: nothing closes it.
    open_end = not front and text.startswith("---\n") and _MODEL_INDEX.search(text)
    found = index.others or ("no end, a line of ---" if open_end else "no model-index")
    raise NothingToCheckError(f"nothing to check: {looked_for}; its front matter has {found}")


def _together(index: Sequence[ReportedRow], card: Sequence[ReportedRow]) -> Reading:
    """Join the rows of a model-index and those of the card below it.

    Where both have the same scores, the card's are left out, since those of the model-index have more digits.
    """
    known = {(row.dataset, measure): value for row in index for measure, value in row.scores.items()}
    rows, findings = [*index], list[PlausibilityFinding]()
    for row in card:
        both = {
            measure: (value, known[row.dataset, measure])
            for measure, value in row.scores.items()
            if (row.dataset, measure) in known
        }
        other = {
            measure: pair for measure, pair in both.items() if pair[0].high < pair[1].low or pair[1].high < pair[0].low
        }
        for measure, (printed, stated) in other.items():
            message = f"{measure} is {printed} in the text and {stated} in the front matter"
            findings.append(finding_about(row, "warning", "two-values", message))
        rows.append(row if other else replace(row, scores={m: v for m, v in row.scores.items() if m not in both}))
    return Reading(rows, findings)


def card_rows(card: Card, source: str = "") -> list[ReportedRow]:
    """Return one row for each section of the card."""
    return [_section_row(card.title, section, source) for section in card.sections]


def _section_row(model: str, section: Section, source: str) -> ReportedRow:
    latencies: dict[str, dict[str, ReportedValue]] = {}
    for block in section.performance:
        for name, figure in block.figures.items():
            side, _, statistic = name.rpartition(" ")
            if statistic in LATENCY_STATISTICS and figure.unit in MILLISECONDS_IN:
                load = f"{block.profile} {side.casefold()}".strip()
                latencies.setdefault(load, {})[statistic] = _value(figure, MILLISECONDS_IN[figure.unit])
    counts = section.counts
    return ReportedRow(
        dataset=section.name,
        model=model,
        source=source,
        scores={
            measure: _value(figure, 0.01 if figure.unit == "%" else 1.0)
            for name, figure in section.quality.items()
            if (measure := _measure(metric_name(name)))
        },
        latencies=latencies,
        documents=_value(counts["Corpus"].figure) if "Corpus" in counts else None,
        queries=_value(counts["Queries"].figure) if "Queries" in counts else None,
    )


def _measure(name: str) -> Measure | None:
    """Return the measure; None for a name that no check knows."""
    try:
        return parse_measure(name)
    except ValueError:
        return None


def _value(figure: Figure, factor: float = 1.0) -> ReportedValue:
    (number, *_) = _PRINTED_NUMBER.findall(figure.text)
    # A magnitude (K, M) multiplies the rounding too: 6.1K is known to within 50.
    stated = ReportedValue.printed(number)
    magnitude = round(figure.value / stated.value) if stated.value else 1
    return ReportedValue(stated.value * magnitude * factor, stated.half * magnitude * factor)


# Results


def _json_rows(text: str, path: Path) -> list[ReportedRow]:
    try:
        data = decode_loose_json(text)
    except DecodingError as error:
        raise ResultError(f"is not JSON: {error}") from None
    if isinstance(data, dict) and "embedbench" in data:
        try:
            return [result_row(msgspec.convert(data, PairResult), str(path))]
        except msgspec.ValidationError as error:
            raise ResultError(f"is not a pytest-embedbench result: {error}") from None
    if (entries := mteb.read_scores(data, path)) is not None:
        return [_mteb_row(entry, str(path)) for entry in entries]
    raise UnknownFormError("is neither a model card nor a result of pytest-embedbench or MTEB")


def result_row(result: PairResult, source: str = "") -> ReportedRow:
    """Return the row of one of the project's own results.

    Its numbers are not rounded, except for those imported from MTEB, which are as MTEB has rounded them.
    """
    details = result.embedbench
    means = {parse_measure(name): value for name, value in details.means.items()}
    whole = {measure: ReportedValue(value) for measure, value in means.items()}
    latencies = {
        f"{shape} {side}": _statistics(statistics)
        for shape, profile in details.profiles.items()
        for side, statistics in (("query", profile.query), ("corpus", profile.corpus))
    }
    return ReportedRow(
        dataset=result.task_name,
        model=details.model.name,
        split=details.dataset.split,
        source=source,
        # Results imported from MTEB have a fingerprint that begins with ``UNSEEN``.
        scores=with_rounding(means) if details.dataset.fingerprint.startswith(UNSEEN) else whole,
        latencies=latencies,
        documents=ReportedValue(details.dataset.documents) if details.dataset.documents else None,
        queries=ReportedValue(details.dataset.queries) if details.dataset.queries else None,
    )


def _statistics(side: SideStatistics) -> dict[str, ReportedValue]:
    values = {name: getattr(side, f"{name}_ms", None) for name in LATENCY_STATISTICS}  # results have no minimum
    return {name: ReportedValue(value) for name, value in values.items() if value is not None}


def _mteb_row(entry: mteb.MtebScores, source: str) -> ReportedRow:
    """Return the row of one split and subset."""
    scores = with_rounding(mteb.measure_values(entry.scores))
    return ReportedRow(dataset=entry.name, model=entry.model, split=entry.split, source=source, scores=scores)
