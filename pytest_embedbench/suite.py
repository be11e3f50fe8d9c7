"""The suite: which models x datasets, and the checks each pair must pass.

A suite is read from ``embedbench.toml`` or from ``[tool.embedbench]`` in ``pyproject.toml`` (there, the tables
``[models.X]`` and ``[datasets.X]`` are ``[tool.embedbench.define.models.X]``, since ``models`` is the list). Every
error names the file, the key and the fix, and comes before any model is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec

from pytest_embedbench import catalog
from pytest_embedbench.datasets.beir import find_split
from pytest_embedbench.datasets.load import BUILTIN, dataset_folder
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.errors import ConfigurationError, DatasetError, closest
from pytest_embedbench.limits import Limit, parse_budget, parse_quality
from pytest_embedbench.load.shape import LoadShape, parse_shape
from pytest_embedbench.measures import DEFAULT_MEASURES, Measure, parse_measure
from pytest_embedbench.models.spec import ModelSpec, NamedModel

T = TypeVar("T")

GLOB = re.compile(r"[*?\[]")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[embedbench]`` table; options of the command line win over it."""

    models: list[str] = []
    datasets: list[str] = []
    profiles: list[str] = []
    metrics: list[str] = []
    device: str = ""
    """Where models run: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; absent: the best that is there."""
    dtype: Literal["fp32", "bf16", "fp16"] = "fp32"
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


class _Definitions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    models: dict[str, ModelSpec] = {}
    datasets: dict[str, DatasetSpec] = {}


class _SuiteFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``embedbench.toml`` as a whole."""

    embedbench: Settings = Settings()
    checks: list[CheckTable] = []
    models: dict[str, ModelSpec] = {}
    datasets: dict[str, DatasetSpec] = {}


class _PyprojectTable(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[tool.embedbench]`` of ``pyproject.toml``."""

    checks: list[CheckTable] = []
    define: _Definitions = _Definitions()


class QualityCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A measure and its limit; without a limit the value is only reported."""

    measure: Measure
    limit: Limit | None = None


class BudgetCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A load profile and a budget on it; ``hardware`` is where the budget binds ("" is everywhere)."""

    shape: LoadShape
    limit: Limit | None = None
    hardware: str = ""


Check = QualityCheck | BudgetCheck


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one dataset with the checks it must pass."""

    model: NamedModel
    dataset: NamedDataset
    checks: tuple[Check, ...]


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says; empty means that the suite decides."""

    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    folder: Path = Path()
    """Relative paths on the command line are relative to this folder."""
    known_models: dict[str, ModelSpec] = {}
    known_datasets: dict[str, DatasetSpec] = {}
    """What plugins add to the catalogue through hooks."""


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """A validated suite, its names resolved against catalogue and disk."""

    path: Path
    settings: Settings
    pairs: tuple[Pair, ...]
    measures: tuple[Measure, ...]


def read_suite(path: Path, overrides: Overrides = Overrides()) -> Suite:
    """Read and validate a suite file, with the command line's choices in place of its own.

    Raises:
        ConfigurationError: anything in it is unknown, misspelt or of the wrong type.
    """
    file = _decode(path)
    return _plan(path, file, overrides, _Names(path, file, overrides))


def suite_from_names(where: str, overrides: Overrides, path: Path) -> Suite:
    """The pairs that a marker in Python and the command line name, without checks.

    Settings and definitions (``[models.X]``, ``[datasets.X]``) are those of the suite file at ``path``.

    Raises:
        ConfigurationError: a name is unknown; ``where`` says who gave it.
    """
    file = msgspec.structs.replace(_decode(path), checks=[])
    return _plan(path, file, overrides, _Names(path, file, overrides, where=where))


# Reading the file


def _decode(path: Path) -> _SuiteFile:
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
        return _convert(data, _SuiteFile, where)
    table = _convert(data.get("tool", {}).get("embedbench", {}), _PyprojectTable, f"{where}: tool.embedbench")
    settings = Settings(**{name: getattr(table, name) for name in Settings.__struct_fields__})
    return _SuiteFile(
        embedbench=settings, checks=table.checks, models=table.define.models, datasets=table.define.datasets
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
        return "give one of " + ", ".join(get_args(kind))
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
    """The keys that a table of this type has, and their types; empty where any key is allowed."""
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


# Resolving names


class _Names:
    """What the names in a suite and on its command line mean."""

    def __init__(self, path: Path, file: _SuiteFile, overrides: Overrides, where: str = "") -> None:
        self.path, self.file, self.overrides = path, file, overrides
        self.where = where or path.name
        in_pyproject = path.name == "pyproject.toml"
        self.table = "tool.embedbench" if in_pyproject else "embedbench"
        """Where the settings stand in the file; checks and definitions stand beside them or, in pyproject, below."""
        self.checks_at = "tool.embedbench.checks" if in_pyproject else "checks"
        self.define_at = "tool.embedbench.define." if in_pyproject else ""
        self.model_definitions = {
            alias: self._anchored_model(alias, spec)
            for alias, spec in {**overrides.known_models, **file.models}.items()
        }
        self.dataset_definitions = {
            alias: self._anchored_dataset(alias, spec)
            for alias, spec in {**overrides.known_datasets, **file.datasets}.items()
        }

    def models(self) -> list[NamedModel]:
        if given := self.overrides.models:
            where = self.where if self.where != self.path.name else "--embed-model"
            named = [self._model(name, where, self.overrides.folder) for name in given]
        else:
            where = f"{self.where}: {self.table}.models"
            named = [
                self._model(name, f"{where}[{index}]", self.path.parent)
                for index, name in enumerate(self.file.embedbench.models or self.file.models)
            ]
        return _refuse_twins(named, self.where)

    def datasets(self) -> list[NamedDataset]:
        if given := self.overrides.datasets:
            where = self.where if self.where != self.path.name else "--embed-dataset"
            named = [self._dataset(name, where, self.overrides.folder) for name in given]
        else:
            where = f"{self.where}: {self.table}.datasets"
            wanted = self.file.embedbench.datasets or list(self.file.datasets) or ["builtin"]
            named = [self._dataset(name, f"{where}[{index}]", self.path.parent) for index, name in enumerate(wanted)]
        return _refuse_twins(named, self.where)

    def _model(self, name: str, where: str, folder: Path) -> NamedModel:
        if name in self.model_definitions:
            return self.model_definitions[name]
        if known := catalog.find(catalog.models(), name):
            return NamedModel(alias=known[0], spec=known[1])
        path = folder / Path(name).expanduser()
        if path.is_dir():
            alias = path.resolve().name
            return _checked_model(NamedModel(alias=alias, spec=ModelSpec(path=str(path.resolve()))), where)
        if name.startswith(("http://", "https://")):
            raise ConfigurationError(where, f"{name}: endpoints are not supported yet", "use a local model")
        if HUB_ID.fullmatch(name) and not name.startswith("."):
            return NamedModel(alias=name, spec=ModelSpec(hub=name))
        aliases = [*self.model_definitions, *catalog.models()]
        problem = f"unknown model {name!r}; {closest(name, aliases)}"
        raise ConfigurationError(
            where,
            problem,
            f"use an alias, a Hub id (org/model), a folder, or define it in [{self.define_at}models.NAME]",
        )

    def _dataset(self, name: str, where: str, folder: Path) -> NamedDataset:
        if name in self.dataset_definitions:
            return self.dataset_definitions[name]
        stem, _, split = name.rpartition("@")
        if not stem or (folder / Path(name).expanduser()).is_dir():
            stem, split = name, ""
        if stem in self.dataset_definitions:
            return _at_split(self.dataset_definitions[stem], split, where)
        path = folder / Path(stem).expanduser()
        known = catalog.find(catalog.datasets(), stem)
        if path.is_dir() and not (known and known[1].path):
            alias = path.resolve().name
            facts = catalog.find(catalog.datasets(), alias)
            spec = msgspec.structs.replace(facts[1] if facts else DatasetSpec(), path=str(path.resolve()), split=split)
            return _checked_dataset(NamedDataset(alias=f"{alias}@{split}" if split else alias, spec=spec), where)
        if known and known[1].path:
            return _at_split(NamedDataset(alias=known[0], spec=known[1]), split, where)
        aliases = [*self.dataset_definitions, *catalog.datasets()]
        if known:
            problem = f"dataset {known[0]!r} is known, but its files are not here"
            fix = f"give its BEIR folder: --embed-dataset PATH, or [{self.define_at}datasets.{known[0]}] path = ..."
        else:
            problem = f"unknown dataset {name!r}; {closest(name, aliases)}"
            fix = f"use a known name, a BEIR folder, or define it in [{self.define_at}datasets.NAME]"
        raise ConfigurationError(where, problem, fix)

    def _anchored_model(self, alias: str, spec: ModelSpec) -> NamedModel:
        where = f"{self.where}: {self.define_at}models.{alias}"
        if spec.path:
            spec = msgspec.structs.replace(spec, path=str((self.path.parent / Path(spec.path).expanduser()).resolve()))
        elif spec.kind != "bm25" and not (spec.hub or spec.package):
            raise ConfigurationError(where, "says not where the model is", "give path or hub")
        return _checked_model(NamedModel(alias=alias, spec=spec), where)

    def _anchored_dataset(self, alias: str, spec: DatasetSpec) -> NamedDataset:
        where = f"{self.where}: {self.define_at}datasets.{alias}"
        if not spec.path:
            raise ConfigurationError(where, "says not where the dataset is", "give path, a BEIR folder")
        if spec.path != BUILTIN:
            spec = msgspec.structs.replace(spec, path=str((self.path.parent / Path(spec.path).expanduser()).resolve()))
        return _checked_dataset(NamedDataset(alias=alias, spec=spec), where)


Named = TypeVar("Named", NamedModel, NamedDataset)


def _refuse_twins(named: Sequence[Named], where: str) -> list[Named]:
    """Drop a name given twice; two things under one name are an error, for their results would overwrite."""
    by_alias: dict[str, Named] = {}
    for item in named:
        other = by_alias.setdefault(item.alias, item)
        if other != item:
            problem = f"two different things are called {item.alias!r}"
            raise ConfigurationError(where, problem, "define one of them under another name in the suite")
    return list(by_alias.values())


def _checked_model(model: NamedModel, where: str) -> NamedModel:
    if model.spec.path:
        folder = Path(model.spec.path)
        if not folder.is_dir():
            raise ConfigurationError(f"{where}.path", f"no such folder: {folder}", "give a saved model's folder")
        if not (folder / "modules.json").is_file() and not (folder / "config.json").is_file():
            problem = f"{folder} holds neither modules.json nor config.json"
            raise ConfigurationError(where, problem, "give the folder of a saved sentence-transformers model")
    return model


def _at_split(dataset: NamedDataset, split: str, where: str) -> NamedDataset:
    """The dataset with the judgments that ``NAME@SPLIT`` asks for."""
    if not split:
        return dataset
    spec = msgspec.structs.replace(dataset.spec, split=split)
    return _checked_dataset(NamedDataset(alias=f"{dataset.alias}@{split}", spec=spec), where)


def _checked_dataset(dataset: NamedDataset, where: str) -> NamedDataset:
    folder = dataset_folder(dataset)
    for name in ("corpus.jsonl", "queries.jsonl"):
        if not (folder / name).is_file():
            problem = f"{folder / name}: no such file"
            raise ConfigurationError(where, problem, "a BEIR folder holds corpus.jsonl, queries.jsonl, qrels/")
    try:
        find_split(folder, dataset.spec.split)
    except DatasetError as error:
        raise ConfigurationError(where, str(error), "choose with split = ... or --embed-dataset FOLDER@SPLIT") from None
    return dataset


# Planning the checks


def _plan(path: Path, file: _SuiteFile, overrides: Overrides, names: _Names) -> Suite:
    where = names.where
    models, datasets = names.models(), names.datasets()
    if not models:
        raise ConfigurationError(f"{where}: embedbench.models", "names no model", 'write models = ["minilm"]')
    known_models = {alias for model in models for alias in _model_names(model)}
    known_models |= {*names.model_definitions, *catalog.models()}
    known_datasets = {dataset.alias for dataset in datasets}
    known_datasets |= {*names.dataset_definitions, *catalog.datasets()}
    # What the command line replaces may still be named by the suite's checks.
    known_models |= set(file.embedbench.models if overrides.models else ())
    known_datasets |= set(file.embedbench.datasets if overrides.datasets else ())
    rules = []
    for index, table in enumerate(file.checks):
        at = f"{where}: {names.checks_at}[{index}]"
        model_patterns = _patterns(table.model, f"{at}.model", known_models)
        dataset_patterns = _patterns(table.dataset, f"{at}.dataset", known_datasets)
        rules.append((model_patterns, dataset_patterns, _checks_of(table, at)))
    at = "--embed-profile" if overrides.profiles else f"{where}: {names.table}.profiles"
    shapes = [
        _parse(parse_shape, text, f"{at}[{index}]")
        for index, text in enumerate(overrides.profiles or file.embedbench.profiles)
    ]
    measures = [
        _parse(parse_measure, text, f"{where}: {names.table}.metrics[{index}]")
        for index, text in enumerate(file.embedbench.metrics)
    ]
    pairs = []
    for model in models:
        for dataset in datasets:
            checks = [
                check
                for model_patterns, dataset_patterns, found in rules
                if _matches(model_patterns, _model_names(model)) and _matches(dataset_patterns, [dataset.alias])
                for check in found
            ]
            pairs.append(Pair(model=model, dataset=dataset, checks=_completed(checks, measures, shapes)))
    measured = {check.measure for pair in pairs for check in pair.checks if isinstance(check, QualityCheck)}
    every = dict.fromkeys([*DEFAULT_MEASURES, *measures, *sorted(measured)])
    return Suite(path=path, settings=file.embedbench, pairs=tuple(pairs), measures=tuple(every))


def _completed(checks: list[Check], measures: list[Measure], shapes: list[LoadShape]) -> tuple[Check, ...]:
    """Quality first, then load; what the suite wants reported but not limited gets a check without a limit."""
    quality = [check for check in checks if isinstance(check, QualityCheck)]
    limited = {check.measure for check in quality}
    wanted = measures if measures or quality else [Measure("ndcg", 10)]
    quality += [QualityCheck(measure=measure) for measure in wanted if measure not in limited]
    budgets = [check for check in checks if isinstance(check, BudgetCheck)]
    profiled = {check.shape for check in budgets}
    budgets += [BudgetCheck(shape=shape) for shape in shapes if shape not in profiled]
    return tuple(dict.fromkeys([*quality, *sorted(budgets, key=lambda check: check.shape)]))


def _checks_of(table: CheckTable, at: str) -> list[Check]:
    checks: list[Check] = []
    for index, text in enumerate(table.quality):
        limit = _parse(parse_quality, text, f"{at}.quality[{index}]")
        checks.append(QualityCheck(measure=parse_measure(limit.subject), limit=limit))
    if not table.profile:
        for key in ("budget", "hardware"):
            if getattr(table, key):
                raise ConfigurationError(f"{at}.{key}", "needs a load profile", "add profile = 'b1 c16'")
        if not checks:
            raise ConfigurationError(at, "checks nothing", "add quality = ['ndcg@10 >= 0.3'] or a profile")
        return checks
    shape = _parse(parse_shape, table.profile, f"{at}.profile")
    budgets = [_parse(parse_budget, text, f"{at}.budget[{index}]") for index, text in enumerate(table.budget)]
    checks += [BudgetCheck(shape=shape, limit=limit, hardware=table.hardware) for limit in budgets]
    return checks if budgets else [*checks, BudgetCheck(shape=shape)]


def _parse(parser: Callable[[str], T], text: str, where: str) -> T:
    try:
        return parser(text)
    except ValueError as error:
        problem, _, fix = str(error).partition("; ")
        raise ConfigurationError(where, problem, fix) from None


def _patterns(value: str | list[str], where: str, known: Iterable[str]) -> list[str]:
    patterns = [value] if isinstance(value, str) else value
    folded = {name.casefold() for name in known}
    for pattern in patterns:
        if not GLOB.search(pattern) and pattern.casefold() not in folded:
            raise ConfigurationError(
                where, f"no {where.rpartition('.')[2]} is called {pattern!r}", closest(pattern, known)
            )
    return [pattern.casefold() for pattern in patterns]


def _model_names(model: NamedModel) -> list[str]:
    return [model.alias, model.name, *model.spec.aliases]


def _matches(patterns: list[str], names: Iterable[str]) -> bool:
    return any(fnmatchcase(name.casefold(), pattern) for name in names for pattern in patterns)
