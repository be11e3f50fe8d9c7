"""Read rows of reported numbers from model cards, the project's own results, and MTEB's result files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pytest_embedbench.core.decoding import DecodingError, decode_loose_json
from pytest_embedbench.core.measures import Measure, parse_measure
from pytest_embedbench.errors import ResultError
from pytest_embedbench.load.statistics import SideStatistics
from pytest_embedbench.plausibility.rows import ReportedRow, ReportedValue
from pytest_embedbench.reports.cards.facts import Card, Figure, Section
from pytest_embedbench.reports.cards.format import metric_name
from pytest_embedbench.reports.cards.parsing import parse
from pytest_embedbench.reports.errors import CardError
from pytest_embedbench.results import mteb
from pytest_embedbench.results.schema import UNSEEN, PairResult

LATENCY_STATISTICS = ("min", "p50", "p90", "p95", "p99", "mean", "max")
MILLISECONDS_IN = {"ms": 1.0, "s": 1000.0}
"""Unit on a card -> milliseconds."""
FLOAT_NOISE = 1e-12
"""Error of sums and products of floats, e.g. 0.24292999999999998 for 0.24293."""
MAX_DECIMALS = 12
"""Decimals; a number with more was not rounded."""

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


def read_rows(path: Path) -> list[ReportedRow]:
    """Return the rows of one file: JSON is read as a result (ours or MTEB's), anything else as a model card.

    The errors do not name the file; callers print it beside them.

    Raises:
        UnknownFormError: the file has none of the known forms.
        ResultError: the file cannot be read, or has the marks of a known form but is malformed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ResultError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ResultError("is not a text file in UTF-8") from None
    return _json_rows(text, path) if path.suffix == ".json" else _card_rows(text, path)


# Cards


def _card_rows(text: str, path: Path) -> list[ReportedRow]:
    try:
        return card_rows(parse(text), str(path))
    except CardError as error:
        # A page with this heading is meant to be a card, so its fault must not be passed over.
        kind = ResultError if "\n## Benchmarks" in text else UnknownFormError
        raise kind(f"is not a model card: {error}") from None


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
        scores=_rounded(means) if details.dataset.fingerprint.startswith(UNSEEN) else whole,
        latencies=latencies,
        documents=ReportedValue(details.dataset.documents) if details.dataset.documents else None,
        queries=ReportedValue(details.dataset.queries) if details.dataset.queries else None,
    )


def _statistics(side: SideStatistics) -> dict[str, ReportedValue]:
    values = {name: getattr(side, f"{name}_ms", None) for name in LATENCY_STATISTICS}  # results have no minimum
    return {name: ReportedValue(value) for name, value in values.items() if value is not None}


def _mteb_row(entry: mteb.MtebScores, source: str) -> ReportedRow:
    """Return the row of one split and subset."""
    scores = _rounded(mteb.measure_values(entry.scores))
    return ReportedRow(dataset=entry.name, model=entry.model, split=entry.split, source=source, scores=scores)


def _rounded(numbers: Mapping[Measure, float]) -> dict[Measure, ReportedValue]:
    """Return the scores with the half-width of their rounding.

    JSON drops final zeros: 0.411 beside 0.36709 is 0.41100. So all cuts of one family have as many decimals as the
    longest of them. A family of only 0, 1 and 0.5 does not show its rounding, and gets the decimals of the whole entry.
    """
    decimals: dict[str, int] = {}
    for measure, value in numbers.items():
        decimals[measure.family] = max(decimals.get(measure.family, 0), _decimals(value))
    longest = max(decimals.values(), default=0)
    decimals = {family: count if count > 1 else longest for family, count in decimals.items()}
    return {measure: ReportedValue(value, _half(decimals[measure.family])) for measure, value in numbers.items()}


def _decimals(value: float) -> int:
    """Return the number of decimals that the value was rounded to; more than ``MAX_DECIMALS`` if it was not."""
    if not math.isfinite(value):
        return 0
    fits = (count for count in range(MAX_DECIMALS) if abs(value - round(value, count)) < FLOAT_NOISE)
    return next(fits, MAX_DECIMALS + 1)


def _half(decimals: int) -> float:
    return 0.5 * 10.0**-decimals if decimals <= MAX_DECIMALS else 0.0
