"""Load a dataset: choose its reader, read its files, and look for what is wrong with the data."""

from __future__ import annotations

from dataclasses import replace

from pytest_embedbench.datasets.doctor.judgments import judgment_findings
from pytest_embedbench.datasets.doctor.texts import text_findings
from pytest_embedbench.datasets.folder import FolderReader
from pytest_embedbench.datasets.irds import IrDatasetsReader
from pytest_embedbench.datasets.reader import Reader
from pytest_embedbench.datasets.repository import HubReader
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.datasets.triples import TriplesReader
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.errors import DatasetError

# In the order in which they are asked: a table's path would also do for a folder, and a definition with a path often
# names the Hub's repository too, as a fact.
DATASET_READERS: tuple[Reader, ...] = (IrDatasetsReader(), TriplesReader(), FolderReader(), HubReader())
"""Every reader; the first one that reads a definition is used."""


def load_dataset(dataset: NamedDataset) -> Dataset:
    """Load a dataset, downloading it if the session may, with the findings of every run.

    Raises:
        DatasetError: a file is missing or malformed, or cannot be downloaded; the fix says how to get it.
    """
    spec = dataset.spec
    content = _reader(spec).read(spec)
    loaded = Dataset(
        name=dataset.alias,
        split=content.split,
        doc_ids=list(content.docs),
        doc_texts=list(content.docs.values()),
        query_ids=list(content.queries),
        query_texts=list(content.queries.values()),
        qrels=content.qrels,
        facts=spec.facts(),
        findings=tuple(content.findings),
        drop_self=bool(spec.drop_self),
        revision=content.revision,
        judged_elsewhere=content.judged_elsewhere,
        judgments_from=content.judgments_from,
        title_lengths=content.title_lengths,
    )
    return with_findings(loaded)


def with_findings(dataset: Dataset) -> Dataset:
    """Return the dataset with the findings of every run: those about its texts and judgments, after its reader's.

    They cost little beside reading the files; ``doctor.examination.examine`` takes a closer look.
    """
    return replace(dataset, findings=(*dataset.findings, *text_findings(dataset), *judgment_findings(dataset)))


def check_dataset(spec: DatasetSpec) -> None:
    """Check what can be known before anything is read or downloaded: whether the files and the split exist.

    Raises:
        DatasetError: they do not.
    """
    _reader(spec).check(spec)


def dataset_splits(spec: DatasetSpec) -> list[str]:
    """Return the splits that have judgments; none if the dataset cannot have several.

    Raises:
        DatasetError: the dataset's files are not there.
    """
    return _reader(spec).splits(spec)


def is_dataset_file(name: str) -> bool:
    """Whether a file of this name is a dataset of its own: an archive or a table."""
    return any(reader.reads_file(name) for reader in DATASET_READERS)


def spec_of_name(name: str) -> DatasetSpec | None:
    """Return the dataset that a name stands for by its form (``irds:ID``); None for all other names."""
    return next((spec for reader in DATASET_READERS if (spec := reader.spec_of(name))), None)


def _reader(spec: DatasetSpec) -> Reader:
    for reader in DATASET_READERS:
        if reader.reads(spec):
            return reader
    raise DatasetError("nothing says where the dataset is", fix="give path, hub_dataset or ir_datasets")
