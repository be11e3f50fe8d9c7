"""Private parts of pytest-xdist that session/xdist_compat.py uses still exist, and without them nothing fails."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("xdist")

from xdist.scheduler import LoadScopeScheduling

from pytest_embedbench.session.xdist_compat import ScopeScheduling


class FirstLetter(ScopeScheduling):
    """Items with the same first letter form a scope; z comes last."""

    def scope(self, node_id: str) -> str:
        return node_id[0]

    def comes_last(self, scope: str) -> bool:
        return scope == "z"


class Worker:
    """A worker that keeps what it is asked to run."""

    shutting_down = False
    gateway = SimpleNamespace(id="gw")

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self.asked.append(indices)

    def shutdown(self) -> None:
        self.shutting_down = True


def scheduled(config: pytest.Config, kind: type[Any], monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Return the items that a session with one worker runs, scope by scope."""
    # xdist sorts large scopes first unless the user forbids it.
    monkeypatch.setattr(config.option, "loadscopereorder", True, raising=False)
    monkeypatch.setattr(config.option, "tx", ["popen"], raising=False)
    scheduling, worker = kind(config), Worker()
    scheduling.add_node(worker)
    scheduling.add_node_collection(worker, ["z1", "z2", "z3", "a1", "a2", "b1"])
    scheduling.schedule()
    for _ in range(6):
        done = [index for indices in worker.asked for index in indices]
        for index in done:
            scheduling.mark_test_complete(worker, index)
    return worker.asked


def test_xdist_has_what_is_overridden(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(LoadScopeScheduling._split_scope), "gone: items of a pair may be spread over workers"
    assert callable(LoadScopeScheduling._assign_work_unit), "gone: comparisons may come before other pairs"
    assert scheduled(pytestconfig, FirstLetter, monkeypatch) == [[3, 4], [5], [0, 1, 2]]


def test_xdist_keeps_queue_and_collection(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytestconfig.option, "tx", ["popen"], raising=False)
    scheduling = FirstLetter(pytestconfig)
    assert isinstance(scheduling.workqueue, OrderedDict)
    assert scheduling.collection is None
    assert len(scheduling.node_ids) == 0


@pytest.mark.parametrize("method", ["_split_scope", "_assign_work_unit"])
def test_where_xdist_does_not_call_a_method_all_items_still_run(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.delattr(ScopeScheduling, method)  # as if it had another name in xdist
    asked = scheduled(pytestconfig, FirstLetter, monkeypatch)
    assert sorted(index for indices in asked for index in indices) == [0, 1, 2, 3, 4, 5]


def test_workers_that_replace_crashed_ones_get_work_when_they_are_ready(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pytestconfig.option, "loadscopereorder", True, raising=False)
    monkeypatch.setattr(pytestconfig.option, "tx", ["popen"] * 2, raising=False)
    scheduling, collection = FirstLetter(pytestconfig), ["a1", "b1", "c1", "d1"]
    crashed = [Worker(), Worker()]
    for worker in crashed:
        scheduling.add_node(worker)
        scheduling.add_node_collection(worker, collection)
    scheduling.schedule()
    for worker in crashed:
        scheduling.remove_node(worker)
    first, second = Worker(), Worker()
    scheduling.add_node(first)
    scheduling.add_node(second)
    scheduling.add_node_collection(first, collection)
    scheduling.schedule()
    assert first.asked
    assert not second.asked
    scheduling.add_node_collection(second, collection)
    scheduling.schedule()
    assert second.asked or not scheduling.workqueue
