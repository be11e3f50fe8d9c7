"""The scopes by which xdist distributes items."""

from __future__ import annotations

import pytest

pytest.importorskip("xdist")

from pytest_embedbench.session.xdist import PairScheduling

ITEMS = [
    "embedbench.toml::minilm::conformance[repeat]",
    "embedbench.toml::minilm::facts::quality[ndcg@10]",
    "embedbench.toml::minilm::facts::regression[ndcg@10]",
    "embedbench.toml::minilm::more::budget[b1-c1-query-p95]",
    "embedbench.toml::bare::conformance[repeat]",
    "tests/test_it.py::TestIt::test_one",
]


@pytest.mark.parametrize(
    ("node_id", "scope"),
    [
        (ITEMS[0], "embedbench.toml::minilm::facts"),
        (ITEMS[1], "embedbench.toml::minilm::facts"),
        (ITEMS[2], "embedbench.toml::[needs all pairs]"),
        (ITEMS[3], "embedbench.toml::minilm::more"),
        (ITEMS[4], "embedbench.toml::bare::"),
        (ITEMS[5], ITEMS[5]),
    ],
)
def test_the_scope_of_an_item(node_id: str, scope: str) -> None:
    scheduling = PairScheduling.__new__(PairScheduling)  # scopes depend on node ids alone
    scheduling.collection = ITEMS
    assert scheduling.scope(node_id) == scope
    assert scheduling.comes_last(scope) == ("needs all pairs" in scope)
