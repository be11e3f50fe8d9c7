"""Which dataset a name means; nothing here reads a corpus."""

from __future__ import annotations

import msgspec

from pytest_embedbench.datasets.types import DatasetFacts


class DatasetSpec(DatasetFacts, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a dataset lies and what a card says of it: an entry of the catalogue or of ``[datasets.X]``.

    One of ``path``, ``ir_datasets`` and ``hub_dataset`` says where it comes from; a path comes before the Hub.
    """

    path: str = ""
    """A folder in BEIR's layout or in that of MTEB's repositories, a .zip of one, or a table of queries with their
    documents (.csv, .tsv, .jsonl, .parquet); relative to the suite file that names it."""
    ir_datasets: str = ""
    """An id of the ir_datasets package, e.g. ``beir/nfcorpus/test``."""
    split: str = ""
    """The judgments to use, ``qrels/<split>.tsv``; absent: ``test``, or the only one there is."""
    subset: str = ""
    """Of a repository with several languages or domains, the one to use: ``ar`` where there is ``ar-corpus``."""
    drop_self: bool = False
    revision: str = ""
    """Of the Hub's repository: a commit, tag or branch; absent: its newest."""
    aliases: tuple[str, ...] = ()

    def facts(self) -> DatasetFacts:
        return DatasetFacts(**{name: getattr(self, name) for name in DatasetFacts.__struct_fields__})


class NamedDataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset under the name that node ids, tables and result files use."""

    alias: str
    spec: DatasetSpec
