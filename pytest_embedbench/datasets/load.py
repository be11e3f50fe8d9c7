"""From a dataset's name and spec to its texts: which reader, and where the files are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from pytest_embedbench.datasets.collection import read_collection
from pytest_embedbench.datasets.doctor.judgments import judgment_findings
from pytest_embedbench.datasets.doctor.texts import text_findings
from pytest_embedbench.datasets.files import open_root
from pytest_embedbench.datasets.gather import Content
from pytest_embedbench.datasets.irds import MISSING, read_ir_dataset
from pytest_embedbench.datasets.layout import README, UnknownSplitError, find_layout, find_splits, needed
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.datasets.tables import is_table
from pytest_embedbench.datasets.triples import read_triples
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.errors import DatasetError
from pytest_embedbench.remote import hub
from pytest_embedbench.remote.hub import Snapshot

BUILTIN = "builtin:"
"""The ``path`` of the collection that ships with the plugin."""


def is_dataset_file(name: str) -> bool:
    """Can a file of this name be a dataset of its own: an archive, or a table?"""
    return name.casefold().endswith(".zip") or is_table(name)


def load_dataset(dataset: NamedDataset) -> Dataset:
    """Load the dataset, downloading it from the Hub if that is where it is and the session may.

    Raises:
        DatasetError: a file is missing or malformed, or cannot be had; the message says how to get it.
    """
    spec = dataset.spec
    content, revision = _read(spec)
    made = Dataset(
        name=dataset.alias,
        split=content.split,
        doc_ids=list(content.docs),
        doc_texts=list(content.docs.values()),
        query_ids=list(content.queries),
        query_texts=list(content.queries.values()),
        qrels=content.qrels,
        facts=spec.facts(),
        findings=tuple(content.findings),
        drop_self=spec.drop_self,
        revision=revision,
        judged_elsewhere=content.judged_elsewhere,
    )
    return with_findings(made)


def _read(spec: DatasetSpec) -> tuple[Content, str]:
    """What the dataset holds, and of which revision that is; "" where it does not come from the Hub."""
    if spec.ir_datasets:
        return read_ir_dataset(spec.ir_datasets), ""
    if not spec.path:
        here = _from_hub(spec, hub.snapshot)
        return read_collection(here.folder, spec.split, spec.subset), here.revision
    path = dataset_path(spec)
    if is_table(path.name):
        return read_triples(path), ""
    return read_collection(open_root(path), spec.split, spec.subset), ""


def check_dataset(spec: DatasetSpec) -> None:
    """Find out what can be known before anything is read or downloaded: are the files there, and the split?

    Raises:
        DatasetError: they are not.
    """
    if spec.ir_datasets:
        if find_spec("ir_datasets") is None:
            raise DatasetError(f"irds:{spec.ir_datasets}: {MISSING}")
        _refuse_split(spec, f"irds:{spec.ir_datasets}", "its id says which judgments are meant")
    elif not spec.path:
        if hub.offline():
            _from_hub(spec, hub.find_cached)
    elif is_table((path := dataset_path(spec)).name):
        if not path.is_file():
            raise DatasetError(f"{path}: no such file; give a table with the columns query, document and score")
        _refuse_split(spec, str(path), "a table is used as a whole")
    else:
        find_layout(open_root(path), spec.split, spec.subset)


def dataset_splits(spec: DatasetSpec) -> list[str]:
    """The splits that have judgments; none where the dataset cannot have several.

    Raises:
        DatasetError: its files are not there.
    """
    if spec.ir_datasets or is_table(spec.path):
        return []
    root = open_root(dataset_path(spec)) if spec.path else _from_hub(spec, hub.snapshot).folder
    return find_splits(root, spec.subset)


def dataset_path(spec: DatasetSpec) -> Path:
    """Where a dataset that has a ``path`` lies."""
    if spec.path == BUILTIN:
        return Path(str(resources.files("pytest_embedbench.datasets").joinpath("builtin")))
    return Path(spec.path)


def _from_hub(spec: DatasetSpec, get: Callable[..., Snapshot]) -> Snapshot:
    """The repository's README, which says what the dataset's files are, and then these."""
    repository = spec.hub_dataset
    try:
        card = get(repository, kind="dataset", revision=spec.revision, patterns=[README])
        patterns = [README, *needed(card.folder, spec.subset)]
        return get(repository, kind="dataset", revision=card.revision, patterns=patterns)
    except hub.HubError as error:
        raise DatasetError(f"{error}, or give its folder: --embed-dataset PATH") from None


def _refuse_split(spec: DatasetSpec, name: str, reason: str) -> None:
    if spec.split:
        raise UnknownSplitError(f"{name}: no split {spec.split!r}: {reason}")


def with_findings(dataset: Dataset) -> Dataset:
    """The dataset with what is wrong with its texts and judgments, beside what its reader found in the files."""
    return replace(dataset, findings=(*dataset.findings, *text_findings(dataset), *judgment_findings(dataset)))
