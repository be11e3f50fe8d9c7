"""Resolve a dataset's name: a definition, a catalogue entry, a folder or file, a Hub id, an id of ir_datasets."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from pytest_embedbench import catalog
from pytest_embedbench.core.files import exists, is_folder, user_path
from pytest_embedbench.datasets.load import check_dataset, dataset_splits, is_dataset_file, spec_of_name
from pytest_embedbench.datasets.spec import BUILTIN, DatasetSpec, NamedDataset
from pytest_embedbench.errors import ConfigurationError, DatasetError, closest
from pytest_embedbench.remote.hub import HUB_ID
from pytest_embedbench.suite.links import check_links


class DatasetNames:
    """Resolves names of datasets.

    Args:
        definitions: the datasets that the suite and plugins define, by alias; they take precedence.
        define_at: the beginning of the definitions' tables in the suite, for messages: ``tool.embedbench.define.`` in
            ``pyproject.toml``, else empty.
    """

    def __init__(self, definitions: Mapping[str, NamedDataset], define_at: str) -> None:
        self.definitions, self.define_at = definitions, define_at

    def dataset(self, name: str, where: str, folder: Path) -> NamedDataset:
        """Return the dataset that a name stands for; ``docs/suite.md`` lists the order in which names are looked up.

        Args:
            name: the name; ``NAME@SPLIT`` chooses the judgments.
            where: the file and key, or the option, that the name stands at.
            folder: where relative paths start.

        Raises:
            ConfigurationError: the name is unknown, or its dataset cannot be used.
        """
        if name in self.definitions:
            return self.definitions[name]
        # Such an id names its judgments itself, so no split is cut off.
        if spec := spec_of_name(name):
            return checked_dataset(NamedDataset(alias=name, spec=spec), where)
        stem, _, split = name.rpartition("@")
        # A folder's own name may have an @ too.
        if not stem or exists(user_path(name, folder)):
            stem, split = name, ""
        dataset = self.definitions.get(stem) or _from_path(stem, folder) or _from_catalog(stem)
        dataset = dataset or _from_other_file(stem, folder) or _from_hub(stem)
        if dataset is None:
            raise self._unknown(name, stem, where)
        if split:
            spec = msgspec.structs.replace(dataset.spec, split=split)
            dataset = NamedDataset(alias=f"{dataset.alias}@{split}", spec=spec)
        return checked_dataset(dataset, where)

    def _unknown(self, name: str, stem: str, where: str) -> ConfigurationError:
        if entry := catalog.find(catalog.datasets(), stem):
            problem = f"dataset {entry[0]!r} is known, but its files are not here"
            fix = f"give its folder: --embed-dataset=PATH, or [{self.define_at}datasets.{entry[0]}] path = ..."
        else:
            problem = f"unknown dataset {name!r}; {closest(name, [*self.definitions, *catalog.datasets()])}"
            ways = "a known name, a BEIR folder, a .zip, .csv, .tsv, .jsonl or .parquet file, a Hub id (org/name)"
            fix = f"use {ways}, irds:ID, or define it in [{self.define_at}datasets.NAME]"
        return ConfigurationError(where, problem, fix)


def defined_dataset(alias: str, spec: DatasetSpec, where: str, folder: Path) -> NamedDataset:
    """Return the dataset that the suite file defines at ``where``, its path made absolute.

    Args:
        alias: the name that it is defined under.
        spec: the definition.
        where: file and key of the definition.
        folder: where relative paths start.

    Raises:
        ConfigurationError: the definition does not say where the dataset is, or says it twice, its reference is no
            address of the web, or the dataset cannot be used.
    """
    check_links({"reference": spec.reference}, where)
    if spec.path and spec.ir_datasets:
        raise ConfigurationError(where, "both path and ir_datasets say where the dataset is", "give one of them")
    if not (spec.path or spec.ir_datasets or spec.hub_dataset):
        fix = "give path, a BEIR folder; or hub_dataset, ir_datasets"
        raise ConfigurationError(where, "does not say where the dataset is", fix)
    if spec.path and spec.path != BUILTIN:
        spec = msgspec.structs.replace(spec, path=str(user_path(spec.path, folder)))
    return checked_dataset(NamedDataset(alias=alias, spec=spec), where)


def checked_dataset(dataset: NamedDataset, where: str) -> NamedDataset:
    """Check all that can be checked without reading or downloading the dataset, and return it.

    A dataset that does not say whether it drops documents with the query's id does what its catalogue entry does.

    Raises:
        ConfigurationError: the dataset cannot be used.
    """
    try:
        check_dataset(dataset.spec)
    except DatasetError as error:
        problem = f"{error.where}: {error.problem}" if error.where else error.problem
        if not dataset.spec.path and not dataset.spec.ir_datasets:
            problem = f"dataset {dataset.alias!r} is known, but its files are not here: {problem}"
        raise ConfigurationError(where, problem, error.fix) from None
    if dataset.spec.drop_self is None and _catalogue_drops_self(dataset):
        return NamedDataset(alias=dataset.alias, spec=msgspec.structs.replace(dataset.spec, drop_self=True))
    return dataset


def _catalogue_drops_self(dataset: NamedDataset) -> bool:
    """Whether the catalogue drops such documents for this alias, Hub id or id of ir_datasets."""
    spec, entries = dataset.spec, catalog.datasets()
    collection, _, rest = spec.ir_datasets.partition("/")
    names = [dataset.alias, rest.partition("/")[0] if collection == "beir" else ""]
    known = [entry[1] for name in names if name and (entry := catalog.find(entries, name))]
    hub = spec.hub_dataset.casefold()
    known += [entry for entry in entries.values() if hub and entry.hub_dataset.casefold() == hub]
    return any(entry.drop_self for entry in known)


def _from_path(name: str, folder: Path) -> NamedDataset | None:
    """Return the dataset in a folder, archive or table; None if there is none.

    A folder or file with the name of a catalogue entry gets that entry's facts.
    """
    path = user_path(name, folder)
    entry = catalog.find(catalog.datasets(), name)
    # A folder "builtin" beside the suite must not hide the packaged dataset of that name.
    if not (is_folder(path) or is_dataset_file(path.name)) or (entry and entry[1].path):
        return None
    alias = path.name if is_folder(path) else Path(path.name.removesuffix(".gz")).stem
    facts = catalog.find(catalog.datasets(), alias)
    spec = facts[1] if facts else DatasetSpec()
    spec = msgspec.structs.replace(spec, path=str(path), ir_datasets="", revision="")
    with suppress(DatasetError):  # whatever is wrong with the files is reported by checked_dataset
        # The catalogue's split is that of the Hub's copy; the user's files may have another name for it.
        if spec.split and spec.split not in dataset_splits(spec):
            spec = msgspec.structs.replace(spec, split="")
    return NamedDataset(alias=alias, spec=spec)


def _from_other_file(name: str, folder: Path) -> NamedDataset | None:
    """Return a file that no reader knows as a dataset: the reader of folders says what is wrong with it."""
    path = user_path(name, folder)
    if not exists(path) or is_folder(path):
        return None
    return NamedDataset(alias=path.stem, spec=DatasetSpec(path=str(path)))


def _from_catalog(name: str) -> NamedDataset | None:
    """Return a catalogue entry by its name or Hub id."""
    entries = catalog.datasets()
    # Several entries may share a repository (splits, subsets): its id stands for the first of them, hence reversed.
    alias_by_hub_id = {
        spec.hub_dataset.casefold(): alias for alias, spec in reversed(entries.items()) if spec.hub_dataset
    }
    entry = catalog.find(entries, alias_by_hub_id.get(name.casefold(), name))
    if entry and (entry[1].path or entry[1].ir_datasets or entry[1].hub_dataset):
        return NamedDataset(alias=entry[0], spec=entry[1])
    return None


def _from_hub(name: str) -> NamedDataset | None:
    """Return the dataset of a Hub id that is not in the catalogue."""
    if HUB_ID.fullmatch(name) and not catalog.find(catalog.datasets(), name):
        return NamedDataset(alias=name, spec=DatasetSpec(hub_dataset=name))
    return None
