"""What a dataset's name means: a definition, a catalogue entry, a folder or file, a Hub id, an id of ir_datasets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from pytest_embedbench import catalog
from pytest_embedbench.datasets.layout import UnknownSplitError
from pytest_embedbench.datasets.load import BUILTIN, check_dataset, dataset_splits, is_dataset_file
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.errors import ConfigurationError, DatasetError, closest

HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")
IR_DATASETS = "irds:"

SPLIT_FIX = "choose with split = ... or --embed-dataset FOLDER@SPLIT"


class DatasetNames:
    """Names of datasets beside these definitions; ``define_at`` stands before the definitions' tables in the suite."""

    def __init__(self, definitions: Mapping[str, NamedDataset], define_at: str) -> None:
        self.definitions, self.define_at = definitions, define_at

    def dataset(self, name: str, where: str, folder: Path) -> NamedDataset:
        """The dataset that is called ``name`` at ``where``; paths start at ``folder``.

        Raises:
            ConfigurationError: the name means nothing, or a dataset that cannot be used.
        """
        if name in self.definitions:
            return self.definitions[name]
        if name.casefold().startswith(IR_DATASETS):
            return checked_dataset(NamedDataset(alias=name, spec=_ir_dataset(name)), where)
        stem, _, split = name.rpartition("@")
        if not stem or (folder / Path(name).expanduser()).exists():
            stem, split = name, ""
        found = self.definitions.get(stem) or _by_path(stem, folder) or _by_fact(stem)
        if found is None:
            raise self._unknown(name, stem, where)
        if split:
            spec = msgspec.structs.replace(found.spec, split=split)
            found = NamedDataset(alias=f"{found.alias}@{split}", spec=spec)
        return checked_dataset(found, where)

    def _unknown(self, name: str, stem: str, where: str) -> ConfigurationError:
        if known := catalog.find(catalog.datasets(), stem):
            problem = f"dataset {known[0]!r} is known, but its files are not here"
            fix = f"give its folder: --embed-dataset PATH, or [{self.define_at}datasets.{known[0]}] path = ..."
        else:
            problem = f"unknown dataset {name!r}; {closest(name, [*self.definitions, *catalog.datasets()])}"
            ways = "a known name, a BEIR folder, a .zip, .csv, .tsv, .jsonl or .parquet file, a Hub id (org/name)"
            fix = f"use {ways}, irds:ID, or define it in [{self.define_at}datasets.NAME]"
        return ConfigurationError(where, problem, fix)


def anchored_dataset(alias: str, spec: DatasetSpec, where: str, folder: Path) -> NamedDataset:
    """The dataset that the suite file defines at ``where``; its path starts at ``folder``.

    Raises:
        ConfigurationError: it says not where the dataset is, or the dataset cannot be used.
    """
    if spec.path and spec.ir_datasets:
        raise ConfigurationError(where, "both path and ir_datasets say where the dataset is", "give one of them")
    if not (spec.path or spec.ir_datasets or spec.hub_dataset):
        fix = "give path, a BEIR folder; or hub_dataset, ir_datasets"
        raise ConfigurationError(where, "says not where the dataset is", fix)
    if spec.path and spec.path != BUILTIN:
        spec = msgspec.structs.replace(spec, path=str((folder / Path(spec.path).expanduser()).resolve()))
    return checked_dataset(NamedDataset(alias=alias, spec=spec), where)


def checked_dataset(dataset: NamedDataset, where: str) -> NamedDataset:
    """The dataset, as far as it is known before anything is read or downloaded that it can be used.

    Raises:
        ConfigurationError: it cannot.
    """
    try:
        check_dataset(dataset.spec)
    except UnknownSplitError as error:
        raise ConfigurationError(where, str(error), SPLIT_FIX) from None
    except DatasetError as error:
        problem, _, fix = str(error).replace("\n  fix: ", "; ", 1).partition("; ")
        if not dataset.spec.path and not dataset.spec.ir_datasets:
            problem = f"dataset {dataset.alias!r} is known, but its files are not here: {problem}"
        raise ConfigurationError(where, problem, fix) from None
    return dataset


def _by_path(name: str, folder: Path) -> NamedDataset | None:
    """A folder, archive or table; if its name is that of a catalogue entry, the entry's facts are its own."""
    path = folder / Path(name).expanduser()
    known = catalog.find(catalog.datasets(), name)
    if not (path.is_dir() or is_dataset_file(path.name)) or (known and known[1].path):
        return None
    path = path.resolve()
    alias = path.name if path.is_dir() else Path(path.name.removesuffix(".gz")).stem
    facts = catalog.find(catalog.datasets(), alias)
    spec = facts[1] if facts else DatasetSpec()
    spec = msgspec.structs.replace(spec, path=str(path), ir_datasets="", revision="")
    with suppress(DatasetError):  # of what lies there, which has its own place
        if spec.split and spec.split not in dataset_splits(spec):  # the Hub's copy may call it otherwise
            spec = msgspec.structs.replace(spec, split="")
    return NamedDataset(alias=alias, spec=spec)


def _by_fact(name: str) -> NamedDataset | None:
    """A catalogue entry, by its name or its Hub id; else a Hub id of its own."""
    entries = catalog.datasets()
    on_hub = {spec.hub_dataset.casefold(): alias for alias, spec in reversed(entries.items()) if spec.hub_dataset}
    known = catalog.find(entries, on_hub.get(name.casefold(), name))
    if known and (known[1].path or known[1].ir_datasets or known[1].hub_dataset):
        return NamedDataset(alias=known[0], spec=known[1])
    if not known and HUB_ID.fullmatch(name):
        return NamedDataset(alias=name, spec=DatasetSpec(hub_dataset=name))
    return None


def _ir_dataset(name: str) -> DatasetSpec:
    return DatasetSpec(ir_datasets=name[len(IR_DATASETS) :])
