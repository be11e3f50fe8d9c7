"""Every number that a suite, a stored file or a command gives has bounds: new keys and options too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from msgspec import inspect

from pytest_embedbench.cli import main
from pytest_embedbench.cli.numbers import Decimal, WholeNumber
from pytest_embedbench.core.thresholds import parse_budget, parse_duration, parse_size
from pytest_embedbench.engine.tuning import Tuned
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.models.local.settings_cache import Ready
from pytest_embedbench.models.variants import Variant, parse_variant
from pytest_embedbench.rating.judgments import Judgment
from pytest_embedbench.remote.settings import EndpointSettings
from pytest_embedbench.results.baseline import Baseline
from pytest_embedbench.results.conformance import ProbeRecord
from pytest_embedbench.results.schema import PairResult
from pytest_embedbench.suite.tables import SuiteTables, decode

EXTREME = ("1e308", "-1e308", "inf", "nan", str(10**30), str(-(10**30)), "9" * 5000)


def numbers(kind: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the place and the type of each number in a type."""
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        yield at, kind
    for part, name in parts(kind):
        yield from numbers(part, f"{at}{name}")


def parts(kind: Any) -> Iterator[tuple[Any, str]]:
    """Yield the types inside a type, and what leads to them."""
    if isinstance(kind, inspect.StructType | inspect.NamedTupleType):
        yield from ((field.type, f".{field.name}") for field in kind.fields)
    elif isinstance(kind, inspect.UnionType):
        yield from ((part, "") for part in kind.types)
    elif isinstance(kind, inspect.TupleType):
        yield from ((part, "") for part in kind.item_types)
    elif isinstance(kind, inspect.DictType):
        yield kind.value_type, ".*"
    elif isinstance(kind, inspect.CollectionType):
        yield kind.item_type, "[]"


@pytest.mark.parametrize("stored", [SuiteTables, PairResult, Baseline, ProbeRecord, Judgment, Tuned, Ready])
def test_every_number_in_a_file_has_bounds(stored: type) -> None:
    found = dict(numbers(inspect.type_info(stored)))
    unbounded = [
        place
        for place, kind in found.items()
        if (kind.ge is None and kind.gt is None) or (kind.le is None and kind.lt is None)
        if not place.endswith("schema_version")  # compared, and never counted to
    ]
    assert found
    assert unbounded == []


def suite_keys() -> list[tuple[str, str]]:
    places = {place.strip(".").replace(".*", ".x", 1) for place, _ in numbers(inspect.type_info(SuiteTables))}
    return [(place.rpartition(".")[0], place.rpartition(".")[2]) for place in sorted(places)]


@pytest.mark.parametrize(("table", "key"), suite_keys(), ids=lambda part: part)
def test_an_extreme_number_in_a_suite_is_an_error_that_names_file_and_key(tmp_path: Path, table: str, key: str) -> None:
    header = f"[[{table[:-2]}]]" if table.endswith("[]") else f"[{table}]"
    for value in EXTREME:
        key_only = key.removesuffix("[]")
        written = f"[{value}]" if key.endswith("[]") else value
        path = tmp_path / "embedbench.toml"
        path.write_text(f"{header}\n{'some' if key_only == '*' else key_only} = {written}\n")
        with pytest.raises(ConfigurationError) as caught:
            decode(path)
        assert "embedbench.toml" in str(caught.value)
        assert len(value) > 1000 or table.rpartition(".")[2] in caught.value.where
        assert len(str(caught.value)) < 1000


def options(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Parameter]]:
    for parameter in command.params:
        yield f"{path} {parameter.opts[0]}".strip(), parameter
    for name, inner in getattr(command, "commands", {}).items():
        yield from options(inner, f"{path} {name}".strip())


NUMBERS = {
    name: parameter
    for name, parameter in options(main)
    if isinstance(parameter.type, type(click.INT) | type(click.FLOAT) | click.IntRange | click.FloatRange)
}


def test_every_number_of_a_command_has_bounds() -> None:
    assert len(NUMBERS) > 10
    assert [name for name, option in NUMBERS.items() if not isinstance(option.type, WholeNumber | Decimal)] == []


@pytest.mark.parametrize("name", NUMBERS)
def test_an_extreme_number_of_a_command_is_an_error(name: str, tmp_path: Path) -> None:
    *command, option = name.split()
    for value in EXTREME:
        # The path is there, so that the number is what is wrong.
        ran = CliRunner().invoke(main, [*command, f"{option}={value}", str(tmp_path)])
        assert ran.exit_code == 2
        assert option in ran.output
        assert len(ran.output) < 1000


@pytest.mark.parametrize("text", ["1e308 s", "1e308 h", "1000 h", "-1 s", "nan s", "9" * 900 + " s", "9" * 9000 + " s"])
def test_durations_have_bounds(text: str) -> None:
    with pytest.raises(ValueError, match=r"is too long|is not a duration|characters"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["1e308 GB", "1e7GB", "0MB", "-1GB", "nanGB", "9" * 900 + "GB"])
def test_sizes_have_bounds(text: str) -> None:
    with pytest.raises(ValueError, match=r"is too large|is not a size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["query p50 <= 1e300 ms", "memory <= 1e300 GiB", "query p50 <= -1 ms"])
def test_budgets_have_bounds(text: str) -> None:
    with pytest.raises(ValueError, match=r"is too large|below 0"):
        parse_budget(text)


@pytest.mark.parametrize("name", ["timeout", "concurrency", "attempts", "requests_per_minute", "retries", "patience"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 1e308])
def test_limits_of_an_endpoint_have_bounds(name: str, value: float) -> None:
    limits: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=name):
        EndpointSettings(url="http://localhost/v1", **limits)


def test_dimensions_of_a_name_have_bounds() -> None:
    with pytest.raises(ValueError, match="999999999 dimensions"):
        parse_variant(["dim=999999999"], Variant())


def test_numbers_within_bounds_are_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "embedbench.toml"
    path.write_text("[models.m]\nparameters = 600_000_000\ndimensions = 1024\ntimeout = 600\npatience = 0.5\n")
    spec = decode(path).models["m"]
    assert (spec.parameters, spec.dimensions, spec.timeout, spec.patience) == (600_000_000, 1024, 600.0, 0.5)
