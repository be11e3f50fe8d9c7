"""Read a dataset from a folder or a zip archive, in BEIR's layout or that of MTEB's repositories."""

from __future__ import annotations

from pytest_embedbench.datasets.collection import read_collection
from pytest_embedbench.datasets.files import open_root
from pytest_embedbench.datasets.gather import DatasetContent
from pytest_embedbench.datasets.layout import find_layout, find_splits
from pytest_embedbench.datasets.reader import Reader
from pytest_embedbench.datasets.spec import DatasetSpec, dataset_path


class FolderReader(Reader):
    """Datasets in a folder or a zip archive. They come after tables, whose path is that of a single file."""

    def reads(self, spec: DatasetSpec) -> bool:
        return bool(spec.path)

    def read(self, spec: DatasetSpec) -> DatasetContent:
        return read_collection(open_root(dataset_path(spec)), spec.split, spec.subset)

    def check(self, spec: DatasetSpec) -> None:
        find_layout(open_root(dataset_path(spec)), spec.split, spec.subset)

    def splits(self, spec: DatasetSpec) -> list[str]:
        return find_splits(open_root(dataset_path(spec)), spec.subset)

    def reads_file(self, name: str) -> bool:
        return name.casefold().endswith(".zip")
