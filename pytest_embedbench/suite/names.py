"""What the names in a suite and on its command line mean: catalogue, definitions, folders, Hub ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from pytest_embedbench import catalog
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.errors import ConfigurationError, closest
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.models.variants import WHOLE, parse_variant
from pytest_embedbench.suite.dataset_names import DatasetNames, anchored_dataset
from pytest_embedbench.suite.endpoints import SCHEMES, anchored_tokenizer, check_endpoint, named_endpoint
from pytest_embedbench.suite.kinds import checked_kind, named_callable
from pytest_embedbench.suite.tables import SuiteFile

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says; empty means that the suite decides."""

    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    regression: bool = False
    """Compare with a baseline, even where the suite has no table for it."""
    conformance: bool = True
    """Test whether models are what they are said to be."""
    folder: Path = Path()
    """Relative paths on the command line are relative to this folder."""
    known_models: dict[str, ModelSpec] = {}
    known_datasets: dict[str, DatasetSpec] = {}
    """What plugins add to the catalogue through hooks."""


class Names:
    """What the names in a suite and on its command line mean."""

    def __init__(self, path: Path, file: SuiteFile, overrides: Overrides) -> None:
        self.path, self.file, self.overrides = path, file, overrides
        self.where = path.name
        in_pyproject = path.name == "pyproject.toml"
        self.table = "tool.embedbench" if in_pyproject else "embedbench"
        """Where the settings stand in the file; checks and definitions stand beside them or, in pyproject, below."""
        self.checks_at = "tool.embedbench.checks" if in_pyproject else "checks"
        self.regression_at = "tool.embedbench.regression" if in_pyproject else "regression"
        self.define_at = "tool.embedbench.define." if in_pyproject else ""
        self.model_definitions = {
            alias: self._anchored_model(alias, spec)
            for alias, spec in {**overrides.known_models, **file.models}.items()
        }
        self.dataset_definitions = {
            alias: anchored_dataset(alias, spec, f"{self.where}: {self.define_at}datasets.{alias}", path.parent)
            for alias, spec in {**overrides.known_datasets, **file.datasets}.items()
        }
        self.dataset_names = DatasetNames(self.dataset_definitions, self.define_at)

    def models(self) -> list[NamedModel]:
        if given := self.overrides.models:
            named = [self._model(name, "--embed-model", self.overrides.folder) for name in given]
        else:
            where = f"{self.where}: {self.table}.models"
            named = [
                self._model(name, f"{where}[{index}]", self.path.parent)
                for index, name in enumerate(self.file.embedbench.models or self.file.models)
            ]
        return _refuse_twins(named, self.where)

    def another_model(self, name: str, where: str, models: Sequence[NamedModel]) -> NamedModel:
        """The model that the suite file names at ``where`` beside those that it tests, ``models``."""
        model = self._model(name, where, self.path.parent)
        _refuse_twins([*models, model], where)
        return model

    def datasets(self) -> list[NamedDataset]:
        called = self.dataset_names.dataset
        if given := self.overrides.datasets:
            named = [called(name, "--embed-dataset", self.overrides.folder) for name in given]
        else:
            where = f"{self.where}: {self.table}.datasets"
            wanted = self.file.embedbench.datasets or list(self.file.datasets) or ["builtin"]
            named = [called(name, f"{where}[{index}]", self.path.parent) for index, name in enumerate(wanted)]
        return _refuse_twins(named, self.where)

    def _model(self, name: str, where: str, folder: Path) -> NamedModel:
        """The model of that name; where there is none, parts after an @ are taken for a variant, from the right."""
        stem, parts = name, list[str]()
        while (model := self._base_model(stem, where, folder)) is None:
            stem, _, part = stem.rpartition("@")
            parts.insert(0, part)
            if not stem:
                raise self._unknown_model(name, where)
        if not parts:
            return model
        try:
            variant = parse_variant(parts, model.variant)
        except ValueError as error:
            problem, _, fix = str(error).partition("; ")
            raise ConfigurationError(where, f"{problem} in {name!r}", fix) from None
        return _checked_variant(model.as_variant(variant), where)

    def _base_model(self, name: str, where: str, folder: Path) -> NamedModel | None:
        if name in self.model_definitions:
            return self.model_definitions[name]
        if known := catalog.find(catalog.models(), name):
            return NamedModel(alias=known[0], spec=known[1])
        path = folder / Path(name).expanduser()
        if path.is_dir():
            alias = path.resolve().name
            return _checked_model(NamedModel(alias=alias, spec=ModelSpec(path=str(path.resolve()))), where)
        if name.casefold().startswith(SCHEMES):
            return named_endpoint(name, where)
        if HUB_ID.fullmatch(name) and not name.startswith("."):
            return NamedModel(alias=name, spec=ModelSpec(hub=name))
        return named_callable(name)

    def _unknown_model(self, name: str, where: str) -> ConfigurationError:
        aliases = [*self.model_definitions, *catalog.models()]
        problem = f"unknown model {name!r}; {closest(name.partition('@')[0] or name, aliases)}"
        ways = "an alias, a Hub id (org/model), a folder, http://HOST/v1#MODEL, package.module:function"
        return ConfigurationError(where, problem, f"use {ways}, or define it in [{self.define_at}models.NAME]")

    def _anchored_model(self, alias: str, spec: ModelSpec) -> NamedModel:
        where = f"{self.where}: {self.define_at}models.{alias}"
        spec = checked_kind(spec, where)
        if spec.kind == "endpoint":
            check_endpoint(spec, where)
        if spec.kind in {"endpoint", "callable"}:
            return _checked_model(NamedModel(alias=alias, spec=anchored_tokenizer(spec, self.path.parent)), where)
        if spec.path:
            spec = msgspec.structs.replace(spec, path=str((self.path.parent / Path(spec.path).expanduser()).resolve()))
        elif spec.kind != "bm25" and not (spec.hub or spec.package):
            raise ConfigurationError(where, "says not where the model is", "give path or hub")
        return _checked_model(NamedModel(alias=alias, spec=spec), where)


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
    return _checked_variant(model, where)


def _checked_variant(model: NamedModel, where: str) -> NamedModel:
    """Refuse a variant that the model cannot have, as far as that is known before it is loaded."""
    kept, dimensions = model.variant.dimensions, model.spec.dimensions
    if model.spec.kind == "bm25" and model.variant != WHOLE:
        problem = f"{model.alias!r}: {model.base.alias} makes no vectors that could be cut or quantized"
        raise ConfigurationError(where, problem, f"write {model.base.alias}")
    if kept and dimensions and kept > dimensions:
        problem = f"{model.alias!r}: the vectors of {model.base.alias} have {dimensions} dimensions, not {kept}"
        raise ConfigurationError(where, problem, f"keep {dimensions} of them or fewer")
    return model
