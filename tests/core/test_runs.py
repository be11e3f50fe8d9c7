"""Runs: documents that no score ranks come last."""

from __future__ import annotations

from pytest_embedbench.core.runs import Run


def test_documents_without_a_score_come_last_by_id_as_far_as_there_is_room() -> None:
    run = Run({"q": [("a", 0.5), ("b", 1e9)], "none": []})
    last = run.with_last(["x", "z", "y"], 4)
    assert [doc for doc, _ in last["q"]] == ["b", "a", "z", "y"]
    assert last == Run({query: last[query] for query in last})  # in trec_eval's order
    assert last["none"] == []
    assert [doc for doc, _ in run.with_last(["x"], 2)["q"]] == ["b", "a"]
