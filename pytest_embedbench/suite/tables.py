"""The tables of a suite file as types, and their reading: unknown keys and wrong types are named with their fix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec

from pytest_embedbench.datasets.spec import DatasetSpec
from pytest_embedbench.errors import ConfigurationError, closest
from pytest_embedbench.models.spec import ModelSpec

T = TypeVar("T")

BASELINE_FILE = "embedbench-baseline.json"
"""Where a baseline is written and looked for, beside the suite file."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[embedbench]`` table; options of the command line win over it."""

    models: list[str] = []
    datasets: list[str] = []
    profiles: list[str] = []
    metrics: list[str] = []
    device: str = ""
    """Where models run: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; absent: the best that is there."""
    dtype: Literal["fp32", "bf16", "fp16", "auto"] | None = None
    """Number format of weights and activations; absent: on a GPU the checkpoint's own, on a CPU fp32; ``auto``: the
    fastest here that keeps the vectors of the dataset's own texts."""
    conformance: bool = True
    """Test whether each model is what it is said to be, before any dataset."""
    batch_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Tokens in one batch of the encode loop, padding included."""


class CheckTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[checks]]`` table."""

    model: str | list[str] = "*"
    dataset: str | list[str] = "*"
    quality: list[str] = []
    profile: str = ""
    hardware: str = ""
    budget: list[str] = []


class RegressionTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[regression]`` table: no pair may be worse than the baseline says it was, or slower than another model."""

    baseline: str = BASELINE_FILE
    """A file, relative to the suite file, or ``GIT-REF:PATH``."""
    metrics: list[str] = msgspec.field(default_factory=lambda: ["ndcg@10"])
    max_drop: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.005
    """Largest drop of a mean that passes in any case; absolute, not a percentage."""
    confidence: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.95
    max_slowdown: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Largest ratio of a model's time to that of ``speed_against``."""
    speed_against: str = ""
    """The model that all others are timed against."""
    profile: str = ""
    """The load under which they are timed; absent: ``b1 c1``."""

    @property
    def speaks_of_speed_alone(self) -> bool:
        """Is there a speed to compare, and nothing said of quality?"""
        quality = (self.baseline, self.metrics, self.max_drop)
        default = RegressionTable()
        return bool(self.speed_against) and quality == (default.baseline, default.metrics, default.max_drop)


class _Definitions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    models: dict[str, ModelSpec] = {}
    datasets: dict[str, DatasetSpec] = {}


class SuiteFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``embedbench.toml`` as a whole."""

    embedbench: Settings = Settings()
    checks: list[CheckTable] = []
    regression: RegressionTable | None = None
    models: dict[str, ModelSpec] = {}
    datasets: dict[str, DatasetSpec] = {}


class _PyprojectTable(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[tool.embedbench]`` of ``pyproject.toml``."""

    checks: list[CheckTable] = []
    regression: RegressionTable | None = None
    define: _Definitions = _Definitions()


def decode(path: Path) -> SuiteFile:
    try:
        data = msgspec.toml.decode(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(str(path), "no such suite file", "give the path of an embedbench.toml") from None
    except OSError as error:
        raise ConfigurationError(
            str(path), f"cannot be read: {error.strerror}", "give the path of an embedbench.toml"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(path), f"not valid TOML: {error}") from None
    where = path.name
    if path.name != "pyproject.toml":
        return _convert(data, SuiteFile, where)
    table = _convert(data.get("tool", {}).get("embedbench", {}), _PyprojectTable, f"{where}: tool.embedbench")
    settings = Settings(**{name: getattr(table, name) for name in Settings.__struct_fields__})
    return SuiteFile(
        embedbench=settings,
        checks=table.checks,
        regression=table.regression,
        models=table.define.models,
        datasets=table.define.datasets,
    )


def _convert(data: Any, kind: type[T], where: str) -> T:
    _refuse_unknown_keys(data, kind, where)
    _refuse_wrong_types(data, kind, where)
    return msgspec.convert(data, kind)


def _refuse_wrong_types(data: Any, kind: Any, where: str) -> None:
    """Convert from the inside out, so that an error names every key on the way (msgspec leaves out those of dicts)."""
    for value, inner, at in _parts(data, kind, where):
        _refuse_wrong_types(value, inner, at)
    try:
        msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        problem, _, at = str(error).partition(" - at `$")
        problem = problem.replace("`", "")
        raise ConfigurationError(where + at.rstrip("`"), problem, _type_fix(problem, kind)) from None


def _type_fix(problem: str, kind: Any) -> str:
    if problem.startswith("Expected array"):
        return 'write a list, e.g. ["minilm"]'
    if problem.startswith("Expected object"):
        return "write a table, e.g. [models.my-model] with keys below it"
    if problem.startswith("Invalid enum value"):
        choices = get_args(kind)[0] if get_origin(kind) is not Literal else kind  # it may be absent
        return "give one of " + ", ".join(get_args(choices))
    return problem.replace("Expected", "give", 1).replace(" | null", "").partition(",")[0]


def _refuse_unknown_keys(data: Any, kind: Any, where: str) -> None:
    """Walk data and type side by side, so that a misspelt key can be named with the closest right one."""
    fields = _fields(kind)
    for key in data if isinstance(data, dict) and fields else ():
        if key not in fields:
            raise ConfigurationError(_join(where, key), f"unknown key {key!r}", closest(key, fields))
    for value, inner, at in _parts(data, kind, where):
        _refuse_unknown_keys(value, inner, at)


def _fields(kind: Any) -> dict[str, Any]:
    """The keys that a table of this type (or none) has, and their types; empty where any key is allowed."""
    if get_origin(kind) is UnionType:
        kind = get_args(kind)[0]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    return {}


def _parts(data: Any, kind: Any, where: str) -> Iterator[tuple[Any, Any, str]]:
    """What a table or list holds: value, type and place of each."""
    fields = _fields(kind)
    if isinstance(data, dict) and fields:
        yield from ((value, fields[key], _join(where, key)) for key, value in data.items())
    elif isinstance(data, dict) and get_origin(kind) is dict:
        yield from ((value, get_args(kind)[1], _join(where, key)) for key, value in data.items())
    elif isinstance(data, list) and get_origin(kind) is list:
        yield from ((value, get_args(kind)[0], f"{where}[{index}]") for index, value in enumerate(data))


def _join(where: str, key: str) -> str:
    return f"{where}: {key}" if where.endswith(".toml") else f"{where}.{key}"
