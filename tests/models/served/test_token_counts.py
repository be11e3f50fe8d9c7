"""Tokens of texts that are sent to a server: whose count it is, and counts that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.models.served.token_counts import MIN_QUARTERS, TokenizerCounter, UsageCounter, counts_tokens
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.remote.usage import ServerCount

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["whales", "a tea house by the sea", "d'oh"]


def counted(count: ServerCount, limit: int | None = None) -> list[tuple[int, str]]:
    counter = UsageCounter(limit)
    return [(text.length, text.counted_by) for text in counter.counted(counter.prepare(TEXTS, ""), count)]


def test_a_servers_count_is_divided_and_says_whose_it_is() -> None:
    texts = counted(ServerCount(16))
    assert sum(length for length, _ in texts) == 16
    assert {source for _, source in texts} == {"usage"}
    assert {source for _, source in counted(ServerCount(16, estimated=True))} == {"estimate"}


@pytest.mark.parametrize("tokens", [0, 2, 10**6], ids=["none", "fewer than texts", "more than bytes"])
def test_a_count_that_cannot_be_is_not_taken(tokens: int) -> None:
    assert counted(ServerCount(tokens)) == [(2, "estimate"), (6, "estimate"), (1, "estimate")]


def test_texts_of_one_length_may_have_a_quarter_of_their_characters_as_tokens() -> None:
    counter = UsageCounter()
    texts = ["which document is number 1"]
    for _ in range(3 * MIN_QUARTERS):
        (text,) = counter.counted(counter.prepare(texts, ""), ServerCount(7))
        assert (text.length, text.counted_by) == (7, "usage")


def test_an_estimate_does_not_exceed_what_the_model_takes() -> None:
    assert counted(ServerCount(0), limit=3) == [(2, "estimate"), (3, "estimate"), (1, "estimate")]
    assert max(counted(ServerCount(30, estimated=True), limit=3))[0] == 3
    assert max(counted(ServerCount(30), limit=3))[0] > 3, "a count is the server's own"


@pytest.mark.parametrize("each", [False, True], ids=["of the request", "of each text"])
def test_a_server_that_always_counts_a_quarter_of_the_characters_estimates(each: bool) -> None:
    counter = UsageCounter()
    sources = []
    for number in range(MIN_QUARTERS + 1):
        texts = [text + "s" * number for text in TEXTS]
        count = sum(-(-len(text) // 4) for text in texts) if each else sum(map(len, texts)) // 4
        sources.append(counter.counted(counter.prepare(texts, ""), ServerCount(count))[0].counted_by)
    assert sources == ["usage"] * (MIN_QUARTERS - 1) + ["estimate"] * 2
    other = counter.counted(counter.prepare(TEXTS, ""), ServerCount(20))
    assert other[0].counted_by == "usage"


def test_a_tokenizer_counts_no_more_than_the_model_takes(minilm_folder: Path) -> None:
    from tokenizers import Tokenizer

    counter = TokenizerCounter(Tokenizer.from_file(str(minilm_folder / "tokenizer.json")), None, limit=8)
    short, long = counter.prepare(["tea", "tea " * 20], "")
    assert (short.length, short.own_tokens, short.counted_by) == (3, 1, "tokenizer")
    assert (long.length, long.own_tokens) == (8, 6)
    assert long.payload.text == "tea " * 20, "the server cuts it"


@pytest.mark.parametrize(
    ("spec", "counts"),
    [
        (ModelSpec(kind="endpoint", url="http://h/v1", model="org/not-in-the-cache"), False),
        (ModelSpec(kind="endpoint", url="http://h/v1", model="a:b latest"), False),
        (ModelSpec(kind="endpoint", url="http://h/v1", model="m", tokenizer="org/m"), True),
        (ModelSpec(kind="callable", callable="m:f"), False),
        (ModelSpec(kind="callable", callable="m:f", tokenizer="org/m"), True),
        (ModelSpec(path="m"), True),
    ],
)
def test_whether_a_models_own_tokenizer_counts(spec: ModelSpec, counts: bool) -> None:
    assert counts_tokens(NamedModel(alias="m", spec=spec)) is counts
