"""The interface of a dataset reader: one reader for each place or format that datasets come from.

A new reader is one file in this folder with a subclass of ``Reader``, and one line: ``DATASET_READERS`` in ``load.py``.
That is all for a reader that knows its datasets by a file's name or by a name's prefix. A place that neither a path, a
Hub id nor such a name can say needs a key in ``spec.py`` too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from pytest_embedbench.datasets.gather import DatasetContent
from pytest_embedbench.datasets.layout import UnknownSplitError
from pytest_embedbench.datasets.spec import DatasetSpec


class Reader(ABC):
    """Reads the datasets of one place or format."""

    @abstractmethod
    def reads(self, spec: DatasetSpec) -> bool:
        """Whether the dataset is this reader's. The first reader in ``DATASET_READERS`` that says so reads it."""

    @abstractmethod
    def read(self, spec: DatasetSpec) -> DatasetContent:
        """Return the dataset's texts and judgments, downloading them if the session may.

        Raises:
            DatasetError: a file is missing or malformed, or cannot be downloaded.
        """

    @abstractmethod
    def check(self, spec: DatasetSpec) -> None:
        """Check what can be known before anything is read or downloaded: whether the files and the split exist.

        Raises:
            DatasetError: they do not.
        """

    def splits(self, spec: DatasetSpec) -> list[str]:  # noqa: ARG002
        """Return the splits that have judgments; none if such a dataset cannot have several.

        Raises:
            DatasetError: the dataset's files are not there.
        """
        return []

    def reads_file(self, name: str) -> bool:  # noqa: ARG002
        """Whether a file of this name is a dataset of its own for this reader."""
        return False

    def spec_of(self, name: str) -> DatasetSpec | None:  # noqa: ARG002
        """Return the dataset that a name stands for by its form, e.g. a prefix; None for all other names."""
        return None


def refuse_split(spec: DatasetSpec, where: str, reason: str) -> None:
    """Refuse ``split``, for a reader whose datasets have no splits to choose from.

    Raises:
        UnknownSplitError: the definition has a split.
    """
    if spec.split:
        raise UnknownSplitError(f"no split {spec.split!r}: {reason}", where=where, fix="leave the split out")
