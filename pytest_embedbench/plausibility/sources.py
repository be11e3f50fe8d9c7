"""Rows from what others wrote: model cards, our results, MTEB's result files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pytest_embedbench.core.measures import Measure, parse_measure
from pytest_embedbench.errors import ResultError
from pytest_embedbench.load.statistics import SideStatistics
from pytest_embedbench.plausibility.rows import Row, Value
from pytest_embedbench.reports.cards.facts import Card, Figure, Section
from pytest_embedbench.reports.cards.format import metric_name
from pytest_embedbench.reports.cards.parsing import parse
from pytest_embedbench.reports.errors import CardError
from pytest_embedbench.results import mteb
from pytest_embedbench.results.schema import UNSEEN, PairResult

STATISTICS = ("min", "p50", "p90", "p95", "p99", "mean", "max")
MILLISECONDS = {"ms": 1.0, "s": 1000.0}
NOISE = 1e-12
"""Sums and products of floats leave 0.24292999999999998 where 0.24293 was meant."""
MOST_DECIMALS = 12

_NUMBER = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?")


class UnknownFormError(ResultError):
    """A file that is neither a card nor a result; below a folder it is passed over."""


def files(path: Path) -> list[Path]:
    """The file itself, or every card and result that may be below a folder."""
    if not path.is_dir():
        return [path]
    found = (file for file in path.rglob("*") if file.suffix in {".json", ".md"} and file.name != "model_meta.json")
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts))


def read_rows(path: Path) -> list[Row]:
    """The rows of one file: of JSON a result (ours or MTEB's), of anything else a model card.

    Raises:
        UnknownFormError: the file is of no form that is known here.
        ResultError: the file cannot be read, or has the marks of a known form and breaks it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ResultError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ResultError("is not a text file in UTF-8") from None
    return _json_rows(text, path) if path.suffix == ".json" else _card_rows(text, path)


# Cards


def _card_rows(text: str, path: Path) -> list[Row]:
    try:
        return card_rows(parse(text), str(path))
    except CardError as error:
        kind = ResultError if "\n## Benchmarks" in text else UnknownFormError
        raise kind(f"is not a model card: {error}") from None


def card_rows(card: Card, source: str = "") -> list[Row]:
    """One row a section."""
    return [_section_row(card.title, section, source) for section in card.sections]


def _section_row(model: str, section: Section, source: str) -> Row:
    latencies: dict[str, dict[str, Value]] = {}
    for block in section.performance:
        for name, figure in block.figures.items():
            side, _, statistic = name.rpartition(" ")
            if statistic in STATISTICS and figure.unit in MILLISECONDS:
                load = f"{block.profile} {side.casefold()}".strip()
                latencies.setdefault(load, {})[statistic] = _value(figure, MILLISECONDS[figure.unit])
    counts = section.counts
    return Row(
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
    """None for a measure that no inequality here speaks of."""
    try:
        return parse_measure(name)
    except ValueError:
        return None


def _value(figure: Figure, factor: float = 1.0) -> Value:
    (number, *_) = _NUMBER.findall(figure.text)
    stated = Value.printed(number)
    magnitude = round(figure.value / stated.value) if stated.value else 1
    return Value(stated.value * magnitude * factor, stated.half * magnitude * factor)


# Results


def _json_rows(text: str, path: Path) -> list[Row]:
    try:
        data = json.loads(text)  # MTEB's files may hold NaN, which msgspec does not read
    except ValueError as error:
        raise ResultError(f"is not JSON: {error}") from None
    if isinstance(data, dict) and "embedbench" in data:
        try:
            return [result_row(msgspec.convert(data, PairResult), str(path))]
        except msgspec.ValidationError as error:
            raise ResultError(f"is not a pytest-embedbench result: {error}") from None
    if (found := mteb.read_scores(data, path)) is not None:
        return [_mteb_row(entry, str(path)) for entry in found]
    raise UnknownFormError("is neither a model card nor a result of pytest-embedbench or MTEB")


def result_row(result: PairResult, source: str = "") -> Row:
    """One of our own results, whose numbers are whole; those of MTEB are as it has rounded them."""
    details = result.embedbench
    means = {parse_measure(name): value for name, value in details.means.items()}
    whole = {measure: Value(value) for measure, value in means.items()}
    latencies = {
        f"{shape} {side}": _statistics(statistics)
        for shape, profile in details.profiles.items()
        for side, statistics in (("query", profile.query), ("corpus", profile.corpus))
    }
    return Row(
        dataset=result.task_name,
        model=details.model.name,
        split=details.dataset.split,
        source=source,
        scores=_rounded(means) if details.dataset.fingerprint.startswith(UNSEEN) else whole,
        latencies=latencies,
        documents=Value(details.dataset.documents) if details.dataset.documents else None,
        queries=Value(details.dataset.queries) if details.dataset.queries else None,
    )


def _statistics(side: SideStatistics) -> dict[str, Value]:
    values = {name: getattr(side, f"{name}_ms", None) for name in STATISTICS}
    return {name: Value(value) for name, value in values.items() if value is not None}


def _mteb_row(found: mteb.MtebScores, source: str) -> Row:
    """One row a split and subset."""
    scores = _rounded(mteb.values(found.scores))
    return Row(dataset=found.name, model=found.model, split=found.split, source=source, scores=scores)


def _rounded(numbers: Mapping[Measure, float]) -> dict[Measure, Value]:
    """The scores, to as many decimals as they were rounded to.

    JSON drops final zeros: 0.411 beside 0.36709 is 0.41100. So all cuts of one family share the decimals of the
    longest. A family of 0, 1 and 0.5 alone says nothing of its rounding, and has those of the whole entry.
    """
    decimals: dict[str, int] = {}
    for measure, value in numbers.items():
        decimals[measure.family] = max(decimals.get(measure.family, 0), _decimals(value))
    longest = max(decimals.values(), default=0)
    decimals = {family: count if count > 1 else longest for family, count in decimals.items()}
    return {measure: Value(value, _half(decimals[measure.family])) for measure, value in numbers.items()}


def _decimals(value: float) -> int:
    """How many decimals the number was rounded to; more than ``MOST_DECIMALS`` where it was not."""
    if not math.isfinite(value):
        return 0
    fits = (count for count in range(MOST_DECIMALS) if abs(value - round(value, count)) < NOISE)
    return next(fits, MOST_DECIMALS + 1)


def _half(decimals: int) -> float:
    return 0.5 * 10.0**-decimals if decimals <= MOST_DECIMALS else 0.0
