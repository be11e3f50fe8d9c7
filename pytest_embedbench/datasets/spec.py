"""Which dataset a name means; nothing here reads a corpus."""

from __future__ import annotations

import msgspec

from pytest_embedbench.datasets.types import DatasetFacts


class DatasetSpec(DatasetFacts, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a dataset lies and what a card says of it: an entry of the catalogue or of ``[datasets.X]``."""

    path: str = ""
    """A folder in the BEIR layout; relative to the suite file that names it."""
    split: str = ""
    """The judgments to use, ``qrels/<split>.tsv``; absent: ``test``, or the only one there is."""
    drop_self: bool = False
    revision: str = ""
    aliases: tuple[str, ...] = ()

    def facts(self) -> DatasetFacts:
        return DatasetFacts(**{name: getattr(self, name) for name in DatasetFacts.__struct_fields__})


class NamedDataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset under the name that node ids, tables and result files use."""

    alias: str
    spec: DatasetSpec
