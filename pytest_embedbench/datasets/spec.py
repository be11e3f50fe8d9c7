"""Definitions of datasets: the place of a dataset's files and its facts. Nothing here reads a corpus."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import msgspec

from pytest_embedbench.datasets.types import DatasetFacts

BUILTIN = "builtin:"
"""The ``path`` of the dataset that ships with the plugin."""


class DatasetSpec(DatasetFacts, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Definition of a dataset, its place and its facts: an entry of the catalogue or of ``[datasets.X]``.

    One of ``path``, ``ir_datasets`` and ``hub_dataset`` says where it is; a path takes precedence over the Hub.
    """

    path: str = ""
    """A folder in BEIR's layout or in that of MTEB's repositories, a .zip of one, or a table of queries with their
    documents (.csv, .tsv, .jsonl, .parquet); relative to the suite file that names it."""
    ir_datasets: str = ""
    """An id of the ir_datasets package, e.g. ``beir/nfcorpus/test``."""
    split: str = ""
    """Which judgments to use, ``qrels/<split>.tsv``; absent: ``test``, or the only split."""
    subset: str = ""
    """Which language or domain of a repository to use, if it has several: ``ar`` for ``ar-corpus``."""
    drop_self: bool | None = None
    """Drop the document with the query's own id from that query's ranking (ArguAna, Quora); absent: what the catalogue
    says about the dataset of this name, else false."""
    revision: str = ""
    """A commit, tag or branch of the Hub's repository; absent: the newest commit of its main branch."""
    aliases: tuple[str, ...] = ()

    def facts(self) -> DatasetFacts:
        """Return the facts alone, without what says where the dataset is."""
        return DatasetFacts(**{name: getattr(self, name) for name in DatasetFacts.__struct_fields__})


class NamedDataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset under the name that node ids, tables and result files use."""

    alias: str
    spec: DatasetSpec


def dataset_path(spec: DatasetSpec) -> Path:
    """Return the folder or file of a dataset that has a ``path``."""
    if spec.path == BUILTIN:
        return Path(str(resources.files("pytest_embedbench.datasets").joinpath("builtin")))
    return Path(spec.path)
