"""Resolve the names in a suite and on the command line: definitions, catalogue entries, folders, Hub ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from pytest_embedbench import catalog
from pytest_embedbench.core.files import is_folder, user_path
from pytest_embedbench.core.parsing import ParseError, parse_at
from pytest_embedbench.core.thresholds import parse_duration
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.errors import ConfigurationError, closest
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.models.variants import FULL_VECTORS, parse_variant
from pytest_embedbench.remote.hub import HUB_ID
from pytest_embedbench.suite.dataset_names import DatasetNames, defined_dataset
from pytest_embedbench.suite.endpoints import ENDPOINT_SCHEMES, check_endpoint, named_endpoint, with_tokenizer_path
from pytest_embedbench.suite.find import SUITE_NAME
from pytest_embedbench.suite.kinds import LOCAL, check_prompts, checked_kind, named_callable
from pytest_embedbench.suite.model_folders import (
    absolute,
    check_model_folder,
    identified,
    is_like,
    refuse_misspelt_folder,
    similar_folder,
)
from pytest_embedbench.suite.probed_models import check_skipped_probes
from pytest_embedbench.suite.tables import DEFAULT_DATASETS, SuiteTables


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """The command line's choices, which take precedence over the suite; empty ones leave it to the suite."""

    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    regression: bool = False
    """Compare with a baseline, even if the suite has no table for it."""
    conformance: bool = True
    """Test whether models are what they are said to be."""
    patience: str = ""
    """How long servers may be not ready."""
    folder: Path = Path()
    """Folder that relative paths on the command line start from."""
    known_models: dict[str, ModelSpec] = {}
    known_datasets: dict[str, DatasetSpec] = {}
    """Models and datasets that plugins add through hooks, by alias; the suite's own definitions take precedence."""


class Names:
    """Resolves the names of models and datasets in a suite file and on the command line.

    Creating one checks every definition of the suite.

    Args:
        path: the suite file; relative paths in it start at its folder.
        tables: what the suite file says.
        overrides: what the command line says.

    Raises:
        ConfigurationError: a definition is wrong.
    """

    def __init__(self, path: Path, tables: SuiteTables, overrides: Overrides) -> None:
        self.path, self.tables, self.overrides = path, tables, overrides
        if overrides.patience:
            parse_at("--embed-patience", parse_duration, overrides.patience)
        self.where = path.name
        in_pyproject = path.name == "pyproject.toml"
        # Names of the tables in messages. In pyproject.toml they are all below tool.embedbench.
        self.table = "tool.embedbench" if in_pyproject else "embedbench"
        self.checks_at = "tool.embedbench.checks" if in_pyproject else "checks"
        self.regression_at = "tool.embedbench.regression" if in_pyproject else "regression"
        self.define_at = "tool.embedbench.define." if in_pyproject else ""
        self.model_definitions = {
            alias: self._defined_model(alias, spec)
            for alias, spec in {**overrides.known_models, **tables.models}.items()
        }
        self.dataset_definitions = {
            alias: defined_dataset(alias, spec, f"{self.where}: {self.define_at}datasets.{alias}", path.parent)
            for alias, spec in {**overrides.known_datasets, **tables.datasets}.items()
        }
        self.dataset_names = DatasetNames(self.dataset_definitions, self.define_at)

    @classmethod
    def without_suite(cls, overrides: Overrides) -> Names:
        """Return the names that are known without a suite file, for programs that test nothing."""
        return cls(Path(SUITE_NAME), SuiteTables(), overrides)  # the path is for messages; no file is read

    def models(self) -> list[NamedModel]:
        """Return the models to test: those of the command line, else of the suite, else all that the suite defines.

        Raises:
            ConfigurationError: a name is unknown, or its model cannot be used.
        """
        if given := self.overrides.models:
            models = [self._model(name, "--embed-model", self.overrides.folder) for name in given]
        else:
            where = f"{self.where}: {self.table}.models"
            models = [
                self._model(name, f"{where}[{index}]", self.path.parent)
                for index, name in enumerate(self.tables.embedbench.models or self.tables.models)
            ]
        return _without_repeats(models, "--embed-model" if given else self.where)

    def another_model(self, name: str, where: str, models: Sequence[NamedModel]) -> NamedModel:
        """Return a model that the suite file names at ``where``, beside the tested ``models``.

        Raises:
            ConfigurationError: the name is unknown, its model cannot be used, or a tested model has the same alias.
        """
        model = self._model(name, where, self.path.parent)
        _without_repeats([*models, model], where)
        return model

    def datasets(self) -> list[NamedDataset]:
        """Return the datasets to test on.

        They are those of the command line, else of the suite, else all that the suite defines, else the built-in one.

        Raises:
            ConfigurationError: a name is unknown, or its dataset cannot be used.
        """
        resolve = self.dataset_names.dataset
        if given := self.overrides.datasets:
            datasets = [resolve(name, "--embed-dataset", self.overrides.folder) for name in given]
        else:
            where = f"{self.where}: {self.table}.datasets"
            names = self.tables.embedbench.datasets or list(self.tables.datasets) or DEFAULT_DATASETS
            datasets = [resolve(name, f"{where}[{index}]", self.path.parent) for index, name in enumerate(names)]
        return _without_repeats(datasets, "--embed-dataset" if given else self.where)

    def _model(self, name: str, where: str, folder: Path) -> NamedModel:
        """Return the model that a name stands for.

        A name that means nothing as a whole is shortened by its parts after an @, from the right, until it does; these
        parts are then the variant. So a folder whose name has an @ is found before a variant of another folder.
        """
        stem, parts = name, list[str]()
        while (model := self._base_model(stem, where, folder)) is None:
            stem, _, part = stem.rpartition("@")
            parts.insert(0, part)
            if not stem:
                raise self._unknown_model(name, where, folder)
        model = self._patient(model)
        if not parts:
            return model
        try:
            variant = parse_variant(parts, model.variant)
        except ParseError as error:
            raise ConfigurationError(where, f"{error.problem} in {name!r}", error.fix) from None
        return _checked_variant(model.as_variant(variant), where)

    def _patient(self, model: NamedModel) -> NamedModel:
        """Return the model; if it is behind an endpoint, with the command line's patience."""
        if not self.overrides.patience or model.spec.kind != "endpoint":
            return model
        spec = msgspec.structs.replace(model.spec, patience=self.overrides.patience)
        return msgspec.structs.replace(model, spec=spec)

    def _base_model(self, name: str, where: str, folder: Path) -> NamedModel | None:
        """Return the model that a name without a variant stands for; None if the name means nothing.

        ``docs/suite.md`` has the order for users.
        """
        if name in self.model_definitions:
            return self.model_definitions[name]
        if entry := catalog.find(catalog.models(), name):
            return NamedModel(alias=entry[0], spec=entry[1])
        # Before the forms below: a folder called "org/name" exists, while a Hub id of that form only may.
        path = user_path(name, folder)
        if is_folder(path):
            spec = identified(ModelSpec(path=absolute(folder, name)))
            return self._checked_model(NamedModel(alias=spec.hub or path.name, spec=spec), where, folder)
        if name.casefold().startswith(ENDPOINT_SCHEMES):
            return named_endpoint(name, where)
        if HUB_ID.fullmatch(name):
            refuse_misspelt_folder(name, folder, where)
            return NamedModel(alias=name, spec=ModelSpec(hub=name))
        return named_callable(name)

    def _unknown_model(self, name: str, where: str, folder: Path) -> ConfigurationError:
        stem = name.partition("@")[0] or name
        aliases = [*self.model_definitions, *catalog.models()]
        if not is_like(stem, aliases) and (meant := similar_folder(stem, folder)):
            return ConfigurationError(where, f"no such folder: {stem}", f"did you mean {meant}?")
        if stem.startswith((".", "/", "~")):
            return ConfigurationError(where, f"no such folder: {stem}", "give a saved model's folder")
        problem = f"unknown model {name!r}; {closest(stem, aliases)}"
        ways = "an alias, a Hub id (org/model), a folder, http://HOST/v1#MODEL, package.module:function"
        return ConfigurationError(where, problem, f"use {ways}, or define it in [{self.define_at}models.NAME]")

    def _defined_model(self, alias: str, spec: ModelSpec) -> NamedModel:
        where = f"{self.where}: {self.define_at}models.{alias}"
        check_skipped_probes(spec, where)
        check_prompts(spec, where)
        folder = self.path.parent
        spec = checked_kind(spec, where)
        if spec.kind == "endpoint":
            check_endpoint(spec, where)
        if spec.kind in {"endpoint", "callable"}:
            return self._checked_model(NamedModel(alias=alias, spec=with_tokenizer_path(spec, folder)), where, folder)
        if spec.path:
            spec = msgspec.structs.replace(spec, path=absolute(folder, spec.path))
        elif spec.kind in LOCAL and not (spec.hub or spec.package):
            raise ConfigurationError(where, "does not say where the model is", "give path or hub")
        return self._checked_model(NamedModel(alias=alias, spec=identified(spec)), where, folder)

    @staticmethod
    def _checked_model(model: NamedModel, where: str, folder: Path) -> NamedModel:
        """Return the model; refuse a folder that holds no model, and a variant that the model cannot have."""
        if model.spec.path:
            check_model_folder(model.spec, where, folder)
        return _checked_variant(model, where)


Named = TypeVar("Named", NamedModel, NamedDataset)


def _without_repeats(items: Sequence[Named], where: str) -> list[Named]:
    """Return the models or datasets without those that are given twice.

    Raises:
        ConfigurationError: two different ones have the same alias: the results of one would overwrite the other's.
    """
    by_alias: dict[str, Named] = {}
    for item in items:
        other = by_alias.setdefault(item.alias, item)
        if other != item:
            kind = "models" if isinstance(item, NamedModel) else "datasets"
            problem = f"two different {kind} are called {item.alias!r}: {_origin(other)} and {_origin(item)}"
            path = getattr(item.spec, "path", "")
            alias = item.base.alias if isinstance(item, NamedModel) else item.alias
            example = f', e.g. {alias}-2 with path = "{path}"' if path else ""
            raise ConfigurationError(where, problem, f"define one of them under another name in the suite{example}")
    return list(by_alias.values())


def _origin(item: NamedModel | NamedDataset) -> str:
    """Return where a model or dataset is from, for messages."""
    spec = item.spec
    if isinstance(spec, DatasetSpec):
        return spec.path or spec.ir_datasets or spec.hub_dataset
    return spec.path or spec.hub or spec.package or spec.url or spec.callable or spec.kind


def _checked_variant(model: NamedModel, where: str) -> NamedModel:
    """Return the model; refuse a variant that it cannot have, as far as that is known before it is loaded."""
    dimensions_kept, dimensions = model.variant.dimensions, model.spec.dimensions
    if not model.spec.has_vectors and model.variant != FULL_VECTORS:
        problem = f"{model.alias!r}: {model.base.alias} has no vectors to cut or quantize"
        raise ConfigurationError(where, problem, f"write {model.base.alias}")
    if dimensions_kept and dimensions and dimensions_kept > dimensions:
        problem = (
            f"{model.alias!r}: the vectors of {model.base.alias} have {dimensions} dimensions, not {dimensions_kept}"
        )
        raise ConfigurationError(where, problem, f"keep {dimensions} of them or fewer")
    return model
