"""Results that an earlier version wrote under a dataset's name, where the file now has the name of the MTEB task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from pytest_embedbench.core.files import file_name

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_embedbench.results.store import Store


def take_over(store: Store, path: Path, dataset: str) -> None:
    """Give a result and its evidence their present names, so that no result lies there twice.

    Nothing is done if there is a result at ``path``, or none of the dataset under its own name.

    Args:
        store: where results are.
        path: the result's file as it is named now.
        dataset: the dataset's name, by which the file was named.

    Raises:
        ResultError: the older file is not a result of this package.
    """
    older = path.with_name(f"{file_name(dataset)}.json")
    # On file systems that ignore case, both may be one file, which keeps its name.
    if path == older or path.exists() or not (result := store.load(older)):
        return
    details = result.embedbench
    if details.dataset.name != dataset:
        return

    def renamed(name: str) -> str:
        """Move a file of evidence; return its new name."""
        new = path.stem + name.removeprefix(older.stem)
        if new != name and (older.parent / name).is_file():
            (older.parent / name).replace(older.parent / new)
        return new

    evidence = replace(
        details.evidence,
        run=renamed(details.evidence.run) if details.evidence.run else "",
        per_query=renamed(details.evidence.per_query) if details.evidence.per_query else "",
        samples={
            load: {side: renamed(name) for side, name in sides.items()}
            for load, sides in details.evidence.samples.items()
        },
    )
    slowdowns = {
        name: replace(
            slowdown,
            query=replace(slowdown.query, samples=renamed(slowdown.query.samples)),
            corpus=replace(slowdown.corpus, samples=renamed(slowdown.corpus.samples)),
        )
        for name, slowdown in details.slowdowns.items()
    }
    store.save(path, replace(result, embedbench=replace(details, evidence=evidence, slowdowns=slowdowns)))
    older.unlink()
