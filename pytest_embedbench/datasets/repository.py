"""Read a dataset from a repository of the Hugging Face Hub, in the layout of MTEB's repositories."""

from __future__ import annotations

from collections.abc import Callable

from pytest_embedbench.datasets.collection import read_collection
from pytest_embedbench.datasets.gather import DatasetContent
from pytest_embedbench.datasets.layout import README, find_splits, needed_patterns
from pytest_embedbench.datasets.reader import Reader
from pytest_embedbench.datasets.spec import DatasetSpec
from pytest_embedbench.errors import DatasetError
from pytest_embedbench.remote import hub
from pytest_embedbench.remote.hub import Snapshot


class HubReader(Reader):
    """Datasets of the Hub. They come last, since ``hub_dataset`` is also a mere fact about a dataset with a path."""

    def reads(self, spec: DatasetSpec) -> bool:
        return bool(spec.hub_dataset)

    def read(self, spec: DatasetSpec) -> DatasetContent:
        snapshot = _fetch(spec, hub.snapshot)
        content = read_collection(snapshot.folder, spec.split, spec.subset)
        return content._replace(revision=snapshot.revision)

    def check(self, spec: DatasetSpec) -> None:
        # With a connection nothing is asked of the Hub here: reading a suite must not depend on the network.
        if hub.offline():
            _fetch(spec, hub.find_cached)

    def splits(self, spec: DatasetSpec) -> list[str]:
        return find_splits(_fetch(spec, hub.snapshot).folder, spec.subset)


def _fetch(spec: DatasetSpec, fetch: Callable[..., Snapshot]) -> Snapshot:
    """Fetch the repository's README, which says which files the dataset consists of, and then these files alone."""
    repository = spec.hub_dataset
    try:
        readme = fetch(repository, kind="dataset", revision=spec.revision, patterns=[README])
        patterns = [README, *needed_patterns(readme.folder, spec.subset)]
        # The README's own commit, so that a push between the two requests cannot mix two versions.
        return fetch(repository, kind="dataset", revision=readme.revision, patterns=patterns)
    except hub.HubError as error:
        fix = f"{error.fix}, or give its folder: --embed-dataset=PATH"
        raise DatasetError(error.problem, where=error.where, fix=fix) from None
