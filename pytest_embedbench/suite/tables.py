"""Read a suite file into typed tables; errors name unknown keys and wrong types, with the fix.

The types below are the format of ``embedbench.toml``: every key, its type and its default.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec

from pytest_embedbench.core.bounded import BatchTokens, Confidence, Slowdown
from pytest_embedbench.core.decoding import DecodingError, decode_toml
from pytest_embedbench.core.measures import MAIN_MEASURE
from pytest_embedbench.core.thresholds import DEFAULT_CONFIDENCE, DEFAULT_MAX_DROP
from pytest_embedbench.datasets.spec import DatasetSpec
from pytest_embedbench.errors import ConfigurationError, closest
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.suite.wrong_tables import wrong_place, wrong_shape

T = TypeVar("T")

DEFAULT_DATASETS = ["builtin"]
"""Datasets of a suite that neither lists nor defines any."""

DEFAULT_BASELINE_FILE = "embedbench-baseline.json"
"""File, beside the suite file, that a baseline is written to and read from."""

DEFAULT_SPEED_PROFILE = "b1 c1"
"""Load under which two models are timed: one text a request, one request at a time."""


_ROLE_FIELD = (
    'a field of the request that says the role is written query_parameters = {{ {0} = "..." }} and '
    'document_parameters = {{ {0} = "..." }}'
)
WRITTEN_OTHERWISE = {
    **{field: _ROLE_FIELD.format(field) for field in ("input_type", "task_type", "prompt_name")},
    **dict.fromkeys(("rpm", "rate_limit", "requests_per_min"), "did you mean 'requests_per_minute'?"),
    **dict.fromkeys(("api_key", "key", "token"), 'name the environment variable that holds it: api_key_env = "NAME"'),
    **dict.fromkeys(("api_version", "api-version"), 'write query = { api-version = "..." }'),
    **dict.fromkeys(("gpu", "device_name", "machine"), "did you mean 'hardware'?"),
}
"""Key that people try in a definition, by other tools or by their server's request -> how it is written here."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[embedbench]`` table; options of the command line take precedence over it."""

    models: list[str] = []
    datasets: list[str] = []
    profiles: list[str] = []
    metrics: list[str] = []
    device: str = ""
    """Device that models run on: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; absent: the fastest one of this machine."""
    dtype: Literal["fp32", "bf16", "fp16", "auto"] | None = None
    """Number format of weights and activations; absent: the checkpoint's own on a GPU, fp32 on a CPU. ``auto`` is the
    fastest on this machine that keeps the vectors of the dataset's own texts."""
    conformance: bool = True
    """Test whether each model is what it is said to be, before its first dataset."""
    batch_tokens: BatchTokens | None = None
    """Tokens in one batch of the encode loop, padding included; absent: on a large corpus the fastest number
    (``engine/tuning.py``), else ``DEFAULT_BATCH_TOKENS`` of ``encode/batch_budget.py``."""


class CheckTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[checks]]`` table; ``core/thresholds.py`` parses its limits, ``load/shape.py`` its profile."""

    model: str | list[str] = "*"
    dataset: str | list[str] = "*"
    quality: list[str] = []
    profile: str = ""
    hardware: str = ""
    budget: list[str] = []


class RegressionTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[regression]`` table: no pair may be worse than in the baseline, or slower than another model."""

    dataset: str | list[str] = "*"
    """Names or patterns of the datasets that are compared."""
    baseline: str = DEFAULT_BASELINE_FILE
    """A file, relative to the suite file, or ``GIT-REF:PATH``."""
    metrics: list[str] = msgspec.field(default_factory=lambda: [str(MAIN_MEASURE)])
    max_drop: Annotated[float, msgspec.Meta(ge=0, le=1)] = DEFAULT_MAX_DROP
    """Largest drop of a mean that passes even if it is significant; absolute, not a percentage."""
    confidence: Confidence = DEFAULT_CONFIDENCE
    """1 minus the chance of any false alarm in a run; for speed, the confidence of each interval."""
    max_slowdown: Slowdown | None = None
    """Largest ratio of a model's time to that of ``speed_against`` that passes."""
    speed_against: str = ""
    """The model that all others are timed against."""
    profile: str = ""
    """The load under which they are timed; absent: ``DEFAULT_SPEED_PROFILE``."""

    @property
    def compares_speed_only(self) -> bool:
        """Whether the table compares speed, and leaves all keys about quality at their defaults."""
        quality = (self.baseline, self.metrics, self.max_drop)
        default = RegressionTable()
        return bool(self.speed_against) and quality == (default.baseline, default.metrics, default.max_drop)


class _Definitions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[tool.embedbench.define]`` of ``pyproject.toml``."""

    models: dict[str, ModelSpec] = {}
    datasets: dict[str, DatasetSpec] = {}


class SuiteTables(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of ``embedbench.toml``."""

    embedbench: Settings = Settings()
    checks: list[CheckTable] = []
    regression: RegressionTable | None = None
    models: dict[str, ModelSpec] = {}
    datasets: dict[str, DatasetSpec] = {}


class _PyprojectTable(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[tool.embedbench]`` of ``pyproject.toml``; ``models`` and ``datasets`` are lists here, hence ``define``."""

    checks: list[CheckTable] = []
    regression: RegressionTable | None = None
    define: _Definitions = _Definitions()


def decode(path: Path) -> SuiteTables:
    """Read a suite file, or the table of ``pyproject.toml``.

    Raises:
        ConfigurationError: the file cannot be read, is not TOML, or has an unknown key or a value of the wrong type.
    """
    try:
        data = decode_toml(path.read_text(encoding="utf-8-sig"), dict[str, Any])
    except FileNotFoundError:
        raise ConfigurationError(str(path), "no such suite file", "give the path of an embedbench.toml") from None
    except OSError as error:
        raise ConfigurationError(
            str(path), f"cannot be read: {error.strerror}", "give the path of an embedbench.toml"
        ) from None
    except (DecodingError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(path), f"not valid TOML: {error}") from None
    where = path.name
    if path.name != "pyproject.toml":
        return _convert(data, SuiteTables, where)
    table = _convert(data.get("tool", {}).get("embedbench", {}), _PyprojectTable, f"{where}: tool.embedbench")
    settings = Settings(**{name: getattr(table, name) for name in Settings.__struct_fields__})
    return SuiteTables(
        embedbench=settings,
        checks=table.checks,
        regression=table.regression,
        models=table.define.models,
        datasets=table.define.datasets,
    )


def _convert(data: Any, kind: type[T], where: str) -> T:
    # Keys first: the conversion would refuse unknown ones too, but without naming the closest known key.
    _refuse_unknown_keys(data, kind, where)
    _refuse_wrong_types(data, kind, where)
    return msgspec.convert(data, kind)


def _refuse_wrong_types(data: Any, kind: Any, where: str) -> None:
    """Raise an error for the innermost value of a wrong type.

    Values are converted from the inside out, so that the error names every key on the way: msgspec's own path leaves
    out the keys of dictionaries.
    """
    for value, inner, at in _parts(data, kind, where):
        _refuse_wrong_types(value, inner, at)
    if mistake := wrong_shape(data, kind, where.partition(": ")[2]):
        raise ConfigurationError(where, mistake.problem, mistake.fix)
    try:
        msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        # The message reads: Expected `array`, got `str` - at `$.models`
        problem, _, at = str(error).partition(" - at `$")
        problem = problem.replace("`", "")
        raise ConfigurationError(where + at.rstrip("`"), problem, _type_fix(problem, kind)) from None


def _type_fix(problem: str, kind: Any) -> str:
    """Return what to write instead, from msgspec's message and the type that the key has."""
    if problem.startswith("Expected array"):
        return 'write a list, e.g. ["minilm"]'
    if problem.startswith("Expected str, got"):
        return 'write a text, in quotes: "..."'
    if problem.startswith("Expected object") and get_origin(kind) is dict and get_args(kind)[1] is str:
        return 'write a table, e.g. { name = "value" }'
    if problem.startswith("Expected object"):
        return "write a table, e.g. [models.my-model] with keys below it"
    if problem.startswith("Invalid enum value"):
        choices = get_args(kind)[0] if get_origin(kind) is not Literal else kind  # drop the None of an optional key
        return "give one of " + ", ".join(get_args(choices))
    return problem.replace("Expected", "give", 1).replace(" | null", "").partition(",")[0]


def _refuse_unknown_keys(data: Any, kind: Any, where: str) -> None:
    """Raise an error for the first unknown key, with the closest known one; msgspec's own error names none."""
    fields = _fields(kind)
    for key in data if isinstance(data, dict) and fields else ():
        if key not in fields:
            fix = WRITTEN_OTHERWISE.get(key) if kind is ModelSpec else None
            fix = fix or wrong_place(key, fields, where, _fields(SuiteTables), _fields(Settings))
            raise ConfigurationError(_join(where, key), f"unknown key {key!r}", fix or closest(key, fields))
    for value, inner, at in _parts(data, kind, where):
        _refuse_unknown_keys(value, inner, at)


def _fields(kind: Any) -> dict[str, Any]:
    """Return the keys that a table of this type has, and their types; empty if any key is allowed."""
    if get_origin(kind) is UnionType:
        kind = get_args(kind)[0]  # an optional table
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    return {}


def _parts(data: Any, kind: Any, where: str) -> Iterator[tuple[Any, Any, str]]:
    """Yield each value in a table or list, with its type and its place in the file."""
    fields = _fields(kind)
    if isinstance(data, dict) and fields:
        yield from ((value, fields[key], _join(where, key)) for key, value in data.items())
    elif isinstance(data, dict) and get_origin(kind) is dict:
        yield from ((value, get_args(kind)[1], _join(where, key)) for key, value in data.items())
    elif isinstance(data, list) and get_origin(kind) is list:
        yield from ((value, get_args(kind)[0], f"{where}[{index}]") for index, value in enumerate(data))


def _join(where: str, key: str) -> str:
    return f"{where}: {key}" if where.endswith(".toml") else f"{where}.{key}"
