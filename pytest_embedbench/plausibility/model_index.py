"""Retrieval scores in the front matter of a README on the Hub: its ``model-index``, whoever wrote it.

MTEB writes ``ndcg_at_10`` in percent, sentence-transformers ``cosine_ndcg@10`` from 0 to 1, and our own export
``ndcg_at_10`` from 0 to 1. The form is that of https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pytest_embedbench.core.decoding import DecodingError, decode_yaml
from pytest_embedbench.core.measures import Measure, parse_measure
from pytest_embedbench.core.parsing import ParseError, shortened
from pytest_embedbench.errors import ResultError
from pytest_embedbench.plausibility.rounding import with_rounding
from pytest_embedbench.plausibility.rows import ReportedRow, ReportedValue

MAX_NAMED = 4
"""Names of other metrics that a message gives."""

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)(?:\r?\n)?^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_METRIC = re.compile(
    r"(?:(?P<similarity>cosine|cos_sim|dot|dot_score|euclidean|manhattan|max)_)?(?P<family>[a-z]+)(?:_at_|@)(?P<k>\d+)",
    re.IGNORECASE,
)
_MTEB_NAME = re.compile(r"MTEB\s+(.*?)(?:\s+\(default\))?", re.IGNORECASE)


class IndexRows(NamedTuple):
    """Rows of a model-index, and a description of its other metrics; "" if it has none."""

    rows: list[ReportedRow]
    others: str


class _Score(NamedTuple):
    """A retrieval score: where it stands and what it is."""

    row: tuple[str, str, str]
    """Model, dataset and split."""
    measure: Measure
    value: float


def split_front_matter(text: str) -> tuple[Mapping[str, Any], str]:
    """Return the mapping in the front matter, empty where there is none, and the text below it.

    Raises:
        ResultError: the front matter is not YAML.
    """
    match = _FRONT_MATTER.match(text)
    if match is None:
        return {}, text
    try:
        data = decode_yaml(match[1], object)
    except DecodingError as error:
        raise ResultError(f"its front matter cannot be read: {error}") from None
    # Two rules with prose between them are no front matter.
    return (data, text[match.end() :].lstrip("\r\n")) if isinstance(data, dict) else ({}, text)


def index_rows(index: object, source: str) -> IndexRows:
    """Return the retrieval scores of a model-index; numbers in percent are divided by 100.

    Raises:
        ResultError: the model-index has not the Hub's form.
    """
    scores: list[_Score] = []
    others: dict[str, None] = {}
    for model, dataset, metrics in _items(index):
        for metric in metrics:
            name = str(metric.get("type") or metric.get("name") or "")
            match, value = _METRIC.fullmatch(name.strip()), _number(metric.get("value"))
            measure = _measure(match) if match else None
            if match is None or measure is None or value is None:
                others[shortened(name)] = None
                continue
            similarity = match["similarity"]
            # A checkpoint may be scored by several similarities, each a row of its own.
            label = f"{dataset[0]} {similarity}" if similarity and similarity.casefold() != "cosine" else dataset[0]
            scores.append(_Score((model, label, dataset[1]), measure, value))
    # MTEB's files are in percent throughout, and hardly any of their numbers is below 1.
    percent = sum(score.value > 1 for score in scores) * 2 > len(scores)
    rows = [
        ReportedRow(
            dataset=dataset, model=model, split=split, source=source, scores=_values(values, in_percent=percent)
        )
        for (model, dataset, split), values in _grouped(scores)
    ]
    names = list(others)
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return IndexRows(rows, f"a model-index with other metrics: {', '.join(names[:MAX_NAMED])}{more}" if names else "")


def _items(index: object) -> Iterator[tuple[str, tuple[str, str], list[Mapping[str, Any]]]]:
    """Yield model, dataset with its split, and metrics of each result."""
    for model in _list(index, "model-index"):
        for result in _list(model.get("results"), "results"):
            dataset = result.get("dataset")
            dataset = dataset if isinstance(dataset, dict) else {"name": dataset}
            given = str(dataset.get("name") or dataset.get("type") or "")
            name = match[1] if (match := _MTEB_NAME.fullmatch(given)) else given
            config = str(dataset.get("config") or "")
            if config not in {"", "default"} and config not in name:
                name = f"{name} {config}"
            where = name, str(dataset.get("split") or "")
            yield str(model.get("name") or ""), where, _list(result.get("metrics"), "metrics")


def _list(value: object, name: str) -> list[Mapping[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ResultError(f"the model-index in its front matter is malformed: {name} is not a list of mappings")
    return value


def _measure(match: re.Match[str]) -> Measure | None:
    try:
        measure = parse_measure(f"{match['family']}@{match['k']}")
    except ParseError:
        return None
    # sentence-transformers divides the sum of precisions by min(k, relevant), so its map is another measure.
    return None if match["similarity"] and measure.family == "map" else measure


def _number(value: object) -> float | None:
    """Return a metric's value; None if it is not a number."""
    if isinstance(value, str):
        factor, digits = (0.01, value.strip().removesuffix("%")) if "%" in value else (1.0, value)
        try:
            return float(digits) * factor
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None


def _grouped(scores: list[_Score]) -> list[tuple[tuple[str, str, str], dict[Measure, float]]]:
    """Return rows and their scores; a measure that comes a second time begins another row of the same name."""
    rows: list[tuple[tuple[str, str, str], dict[Measure, float]]] = []
    latest: dict[tuple[str, str, str], dict[Measure, float]] = {}
    for score in scores:
        values = latest.get(score.row)
        if values is None or score.measure in values:
            values = latest[score.row] = {}
            rows.append((score.row, values))
        values[score.measure] = score.value
    return rows


def _values(numbers: Mapping[Measure, float], *, in_percent: bool) -> dict[Measure, ReportedValue]:
    rounded = with_rounding(numbers)
    if not in_percent:
        return rounded
    return {measure: ReportedValue(value.value / 100, value.half / 100) for measure, value in rounded.items()}
