"""Names of result files: that of the MTEB task if a dataset is one, so that MTEB finds them, else the dataset's."""

from __future__ import annotations

from pytest_embedbench import catalog

DEFAULT_SPLIT = "test"
"""The split that MTEB evaluates, unless the catalogue knows another one of a task."""


def result_name(dataset: str, split: str, task: str) -> str:
    """Return the name, without ending, of the file with the results on a dataset.

    Args:
        dataset: the dataset's name.
        split: its judgments; "" for those that are used by default.
        task: the MTEB task with the same data; "" if there is none.
    """
    if not task:
        return dataset
    # Other judgments of the same task have a file of their own.
    return task if split in {"", official_split(task)} else f"{task}@{split}"


def official_split(task: str) -> str:
    """Return the split that MTEB evaluates for a task."""
    known = (spec.split for spec in catalog.datasets().values() if spec.mteb_task == task)
    return next(known, "") or DEFAULT_SPLIT
