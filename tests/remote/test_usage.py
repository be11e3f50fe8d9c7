"""A server's count of tokens, and what odd servers write in its place."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pytest_embedbench.remote.embeddings import Embeddings
from pytest_embedbench.remote.usage import ServerCount, server_count


@pytest.mark.parametrize(
    ("usage", "count"),
    [
        ({"prompt_tokens": 7, "total_tokens": 9}, ServerCount(7)),
        ({"total_tokens": 9}, ServerCount(9)),
        ({"prompt_tokens": 0, "total_tokens": 0}, ServerCount(0)),
        ({"prompt_tokens": 7.0}, ServerCount(7)),
        ({"prompt_tokens": -3, "total_tokens": 9}, ServerCount(9)),
        ({"prompt_tokens": "many"}, ServerCount(0)),
        ({"prompt_tokens": True}, ServerCount(0)),
        ({"prompt_tokens": [7]}, ServerCount(0)),
        ({}, ServerCount(0)),
        (None, ServerCount(0)),
        ([], ServerCount(0)),
        ("7", ServerCount(0)),
        (7, ServerCount(0)),
        ({"prompt_tokens": 7, "source": "character_estimate"}, ServerCount(7, estimated=True)),
        ({"prompt_tokens": 7, "details": {"method": "Estimated"}}, ServerCount(7, estimated=True)),
        ({"prompt_tokens": 7, "estimated": True}, ServerCount(7, estimated=True)),
        ({"prompt_tokens": 7, "estimated": False}, ServerCount(7)),
        ({"prompt_tokens": 7, "estimated_cost": 0.0001}, ServerCount(7)),
    ],
)
def test_a_count_is_read_and_oddities_are_none(usage: Any, count: ServerCount) -> None:
    answer = msgspec.json.encode({"data": [{"embedding": [1.0]}], "usage": usage})
    assert server_count(msgspec.json.decode(answer, type=Embeddings).usage) == count


def test_an_answer_without_usage_counts_nothing() -> None:
    assert server_count(msgspec.json.decode(b'{"data": []}', type=Embeddings).usage) == ServerCount(0)


def test_a_header_may_mark_an_estimate() -> None:
    usage = {"prompt_tokens": 7}
    assert server_count(usage, {"x-usage-source": "character_estimate"}).estimated
    assert not server_count(usage, {"x-cost": "estimate", "x-usage-source": "tokenizer"}).estimated


@pytest.mark.parametrize("count", [10**400, 1e308, float("nan"), float("inf"), -1, 2**63])
def test_impossible_counts_are_none(count: float) -> None:
    assert server_count({"prompt_tokens": count}) == ServerCount()


def test_a_mark_is_looked_for_within_bounds() -> None:
    usage: dict[str, object] = {"estimated": True}
    for _ in range(5000):
        usage = {"details": usage}
    assert not server_count(usage).estimated
