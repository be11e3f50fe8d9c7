"""The catalogue's datasets hold what the real mteb package says of its tasks: it is their source.

Runs in mteb's own environment, as its neighbour does: ``make mteb``.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from pytest_embedbench import catalog
from pytest_embedbench.catalog import published

MTEB_PYTHON = os.environ.get("EMBEDBENCH_MTEB_PYTHON", "")

READ = """
import json, sys
import mteb
tasks = {}
for name in sys.argv[1:]:
    task = mteb.get_task(name)
    metadata = task.metadata
    tasks[name] = {
        "path": metadata.dataset["path"],
        "revision": metadata.dataset["revision"],
        "splits": list(metadata.eval_splits),
        "languages": list(metadata.eval_langs),
        "reference": str(metadata.reference),
        "licence": metadata.license,
        "prompt": (metadata.prompt or {}).get("query", ""),
        "drop_self": bool(task.ignore_identical_ids),
        "statistics": metadata.descriptive_stats,
    }
print(json.dumps(tasks))
"""

OWN_INSTRUCTIONS = ("CQADupstack", "Touche2020Retrieval.v3")
"""MTEB states no prompt for these; the catalogue says where theirs is from."""

TASKS = sorted(spec.mteb_task for spec in catalog.datasets().values() if spec.mteb_task)

pytestmark = pytest.mark.skipif(
    not MTEB_PYTHON, reason="EMBEDBENCH_MTEB_PYTHON names no Python with mteb; run `make mteb`"
)


@pytest.fixture(scope="module")
def stated() -> dict[str, dict[str, Any]]:
    """Return what mteb says of every task that the catalogue names."""
    done = subprocess.run([MTEB_PYTHON, "-c", READ, *TASKS], check=True, capture_output=True, text=True)
    tasks: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return tasks


@pytest.mark.parametrize("name", TASKS)
def test_facts_are_those_of_the_task(name: str, stated: dict[str, dict[str, Any]]) -> None:
    spec, task = catalog.datasets()[name], stated[name]
    ours = (spec.hub_dataset, spec.revision, [spec.split or "test"], spec.languages, spec.reference, spec.licence)
    assert ours == tuple(task[key] for key in ("path", "revision", "splits", "languages", "reference", "licence"))
    assert bool(spec.drop_self) == task["drop_self"]
    if name.startswith(OWN_INSTRUCTIONS):
        assert task["prompt"] == ""
    else:
        assert spec.instruction == task["prompt"]


@pytest.mark.parametrize("name", sorted(published.sizes()))
def test_sizes_are_those_of_the_tasks_statistics(name: str, stated: dict[str, dict[str, Any]]) -> None:
    size = published.sizes()[name]
    statistics = stated[name]["statistics"][size.split]
    assert statistics["num_samples"] == size.documents + size.queries
    assert statistics["documents_text_statistics"]["unique_texts"] == size.unique_texts
    # Of some tasks the number of queries is not counted apart; then all of their texts are distinct.
    assert (statistics.get("num_queries") or statistics["queries_text_statistics"]["unique_texts"]) == size.queries
