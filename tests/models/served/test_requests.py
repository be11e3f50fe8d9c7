"""Requests to servers that take less than they get, break on texts, or mix up their answers: right vectors or one error."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_embedbench.encode.cache import VectorCache
from pytest_embedbench.encode.loop import Encoded, encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import AnsweredBatch, Limits, ModelFacts, PreparedText
from pytest_embedbench.models.registry import LoadOptions, SourceCache
from pytest_embedbench.models.served.endpoint import KIND
from pytest_embedbench.models.served.requests import RequestError
from pytest_embedbench.models.text_errors import UnusableTextsError
from pytest_embedbench.remote.errors import EndpointError
from tests.models.served.conftest import named
from tests.support.served_fake import ServedFake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from pytest_embedbench.models.protocol import Encoder, Vectors
    from tests.models.served.conftest import Connect, Proxy

TEXTS = [f"the {word} number {number}" for number in range(10) for word in ("whale", "castle")]


def run(model: Encoder, texts: list[str] = TEXTS, **more: Any) -> Encoded:
    return encode(model, texts, "document", batch_tokens=100_000, progress=SilentProgress(), **more)


@pytest.fixture(scope="session")
def expected(minilm: SentenceTransformerModel) -> np.ndarray[Any, Any]:
    return run(minilm).vectors


def sizes(proxy: Proxy) -> list[int]:
    return [len(body["input"]) for body in proxy.bodies()]


@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_a_refused_batch_is_sent_in_halves_and_its_size_remembered(
    connect: Connect, proxy: Proxy, expected: np.ndarray[Any, Any], status: int
) -> None:
    model = connect(concurrency=1)
    proxy.behave(default={"kind": "status", "status": status, "message": "batch size too large", "above": 5})
    assert run(model).vectors == pytest.approx(expected, abs=1e-5)
    proxy.behave(default={"kind": "status", "status": status, "message": "batch size too large", "above": 5})
    assert run(model).vectors == pytest.approx(expected, abs=1e-5)
    assert sizes(proxy)[:4] == [5, 5, 5, 5]
    assert max(sizes(proxy)) == 5
    (note,) = model.pace.take_notes()
    assert "the server refuses 10 texts in one request" in note
    assert "batch_texts = 5" in note


def test_what_a_server_takes_is_remembered_when_the_model_is_loaded_again(connect: Connect, proxy: Proxy) -> None:
    connect()
    sources, options = SourceCache(), LoadOptions("", "", None)
    for _ in range(2):
        proxy.behave(default={"kind": "status", "status": 413, "message": "batch", "above": 1})
        model = KIND.load(named(proxy.url), sources, options)
        run(model)
        model.close()
    assert set(sizes(proxy)) == {1}


def test_the_texts_by_which_a_server_is_recognised_keep_to_its_limits(connect: Connect, proxy: Proxy) -> None:
    proxy.behave(default={"kind": "status", "status": 422, "message": "no", "above": 1})
    connect(batch_texts=1)
    assert sizes(proxy) == [1, 1, 1]
    connect()
    assert sizes(proxy)[3:] == [3, 2, 1, 1, 1]


def test_the_longest_of_these_texts_is_short_and_shorter_still_where_it_is_refused(
    connect: Connect, proxy: Proxy, minilm: SentenceTransformerModel
) -> None:
    connect()
    texts = proxy.bodies()[0]["input"]
    assert max(prepared.length for prepared in minilm.prepare(texts, "document")) < 400
    refused = {"kind": "status", "status": 413, "message": "too long", "only": "39 bottles of ink"}
    proxy.behave(default=refused)
    model = connect()
    assert max(proxy.bodies()[-1]["input"], key=len).endswith("19 bottles of ink stand on shelf 5")
    assert run(model, ["whale"]).vectors.shape == (1, 384)


def test_a_server_that_gives_one_vector_a_request_gets_one_text(
    connect: Connect, proxy: Proxy, expected: np.ndarray[Any, Any]
) -> None:
    proxy.behave(default={"kind": "first"})
    model = connect()
    assert run(model).vectors == pytest.approx(expected, abs=1e-5)
    assert "batch_texts = 1" in model.pace.take_notes()[0]


BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "server error": (
        {"kind": "status", "status": 500, "message": "unsupported value: NaN", "only": "castle number 7"},
        "model 'served': this document breaks the server: HTTP 500: unsupported value: NaN",
        "16 bits",
    ),
    "null": (
        {"kind": "null", "text": "castle number 7"},
        "model 'served': the vector of this document is NaN",
        "16 bits",
    ),
    "blank words": (
        {"kind": "status", "status": 400, "message": "invalid input", "only": "castle number 7"},
        "model 'served': this document is refused by the server: HTTP 400: invalid input",
        "look at the text",
    ),
    "zero": (
        {"kind": "zero", "text": "castle number 7"},
        "model 'served': the vector of this document is zero, so that it is similar to nothing",
        "16 bits",
    ),
    "text-embeddings-inference's 424": (
        {"kind": "status", "status": 424, "message": "CUDA error", "only": "castle number 7"},
        "model 'served': this document breaks the server: HTTP 424: CUDA error",
        "16 bits",
    ),
    "a crash": (
        {"kind": "reset", "only": "castle number 7"},
        "model 'served': this document breaks the server: ",
        "look at the text",
    ),
    "too long": (
        {"kind": "status", "status": 413, "message": "at most 5 tokens", "only": "castle number 7"},
        "model 'served': this document is too long for the server: HTTP 413: at most 5 tokens",
        "max_seq_length",
    ),
}


@pytest.mark.parametrize(("fault", "problem", "fix"), BROKEN.values(), ids=BROKEN)
def test_a_text_that_breaks_the_server_is_named_and_the_others_are_kept(
    connect: Connect, proxy: Proxy, tmp_path: Path, fault: dict[str, Any], problem: str, fix: str
) -> None:
    model = connect()
    cache = VectorCache(tmp_path / "cache").spaces("served", "f", model.facts, {})["document"]
    proxy.behave(default=fault)
    with pytest.raises(UnusableTextsError) as caught:
        run(model, cache=cache)
    assert str(caught.value).startswith(problem)
    assert "(19 characters: 'the castle number 7')\n  19 of 20 texts were encoded; the embedding cache has" in str(
        caught.value
    )
    assert fix in caught.value.fix
    assert [TEXTS[index] for index in cache.read(TEXTS).missing] == ["the castle number 7"]


def test_many_broken_texts_are_counted_and_the_first_are_named(connect: Connect, proxy: Proxy) -> None:
    model = connect()
    proxy.behave(default={"kind": "null", "text": "castle"})
    with pytest.raises(UnusableTextsError) as caught:
        run(model)
    lines = str(caught.value).splitlines()
    assert lines[0] == "model 'served': 10 documents have no usable vector:"
    assert len([line for line in lines if "the vector of this document is NaN" in line]) == 5
    assert "  and 5 more" in lines


def test_a_server_that_refuses_every_text_is_not_asked_for_all_of_them(connect: Connect, proxy: Proxy) -> None:
    model = connect(batch_texts=1, concurrency=1)
    proxy.behave(default={"kind": "status", "status": 400, "message": "gone"})
    with pytest.raises(UnusableTextsError, match="at least 10 documents have no usable vector"):
        run(model, [f"text {number}" for number in range(100)])
    assert len(proxy.bodies()) < 25


def test_many_broken_texts_in_a_row_do_not_end_the_others(connect: Connect, proxy: Proxy) -> None:
    model = connect()
    proxy.behave(default={"kind": "status", "status": 400, "message": "no", "only": "zirconium"})
    broken = [f"zirconium comes before all shorter texts: number {number}" for number in range(25)]
    with pytest.raises(
        UnusableTextsError, match=r"25 documents have no usable vector(.|\n)*20 of 45 texts were encoded"
    ):
        run(model, [*broken, *TEXTS])


def test_a_text_is_too_long_in_any_words(connect: Connect, proxy: Proxy) -> None:
    model = connect(batch_texts=8)
    long = "a whale of a castle " * 50
    # Refused by length, with words that say nothing of it.
    proxy.behave(default={"kind": "status", "status": 400, "message": "nope", "characters": 300})
    with pytest.raises(UnusableTextsError, match="this document is too long for the server: HTTP 400: nope"):
        run(model, [*TEXTS, long])


INDEX: dict[str, dict[str, Any]] = {
    "all 0": {"kind": "index", "index": 0},
    "none": {"kind": "index", "index": None},
    "text": {"kind": "index", "index": "1"},
}


@pytest.mark.parametrize("fault", INDEX.values(), ids=INDEX)
def test_wrong_indices_do_not_matter_where_the_order_is_proven(
    connect: Connect, proxy: Proxy, expected: np.ndarray[Any, Any], fault: dict[str, Any]
) -> None:
    model = connect()
    proxy.behave(default=fault)
    assert run(model).vectors == pytest.approx(expected, abs=1e-5)
    assert "the order of the answer holds" in model.pace.take_notes()[0]
    before = len(proxy.bodies())
    run(model)
    assert sizes(proxy)[before:].count(20) == 1  # proven once


@pytest.mark.parametrize("fault", INDEX.values(), ids=INDEX)
def test_wrong_indices_in_another_order_are_an_error(connect: Connect, proxy: Proxy, fault: dict[str, Any]) -> None:
    model = connect()
    proxy.behave(default=fault | {"reverse": True})
    with pytest.raises(ModelError, match=r"they do not stand in the order of the texts\n  .*\n  fix: batch_texts = 1"):
        run(model)


def test_the_order_is_proven_by_texts_that_have_a_vector(connect: Connect, proxy: Proxy) -> None:
    model = connect()
    proxy.behave(default={"kind": "index", "index": 0, "text": "whale number 0"})
    with pytest.raises(UnusableTextsError, match="the vector of this document is NaN") as caught:
        run(model)
    assert [unusable.text for unusable in caught.value.texts] == ["the whale number 0"]


def test_indices_that_are_wrong_once_are_asked_for_again(
    connect: Connect, proxy: Proxy, expected: np.ndarray[Any, Any]
) -> None:
    model = connect()
    proxy.behave(INDEX["all 0"])
    assert run(model).vectors == pytest.approx(expected, abs=1e-5)
    assert model.pace.take_notes() == []
    assert sizes(proxy).count(20) == 2


def test_after_a_time_out_less_is_sent_and_fewer_requests_at_once(
    connect: Connect, proxy: Proxy, expected: np.ndarray[Any, Any]
) -> None:
    model = connect(timeout=3.0, concurrency=4)
    proxy.behave(default={"kind": "hang", "seconds": 4, "above": 10})
    assert run(model).vectors == pytest.approx(expected, abs=1e-5)
    assert sizes(proxy)[:3] == [20, 10, 10]
    (note,) = model.pace.take_notes()
    assert (
        "did not answer 20 texts in time (no answer within 3 s); from then on 10 were sent in one request, and 2 requests at once"
        in note
    )


UNUSABLE: dict[str, tuple[str, str, str]] = {
    "nest": ("nest", r"a list of vectors \(2 x 384\), one a token: the server does not pool", "pooling"),
    "other dimensions": ("shorten", "383 dimensions, the first one had 384", "one model alone"),
}


@pytest.mark.parametrize(("kind", "problem", "fix"), UNUSABLE.values(), ids=UNUSABLE)
def test_vectors_that_are_none_are_an_error_with_a_fix(
    connect: Connect, proxy: Proxy, kind: str, problem: str, fix: str
) -> None:
    model = connect()
    proxy.behave(default={"kind": kind})
    with pytest.raises(ModelError, match=problem) as caught:
        run(model)
    assert fix in caught.value.fix
    assert len(proxy.bodies()) == 1


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"kind": "empty"}, "the vectors are empty"),
        ({"kind": "nest"}, "the server does not pool"),
        ({"kind": "null", "text": ""}, "the vector of every text is NaN"),
        ({"kind": "zero", "text": ""}, "the vector of every text is zero"),
        ({"kind": "status", "status": 422, "message": "no such model"}, "every text is refused .*: HTTP 422: no such"),
    ],
)
def test_a_server_without_vectors_is_one_error_at_the_start(
    connect: Connect, proxy: Proxy, fault: dict[str, Any], problem: str
) -> None:
    proxy.behave(default=fault)
    with pytest.raises(ModelError, match=f"^model 'served': {proxy.url}.*{problem}") as caught:
        connect()
    assert caught.value.fix


@pytest.mark.parametrize(
    ("keys", "field", "fix"),
    [
        ({"dimensions": 64}, "dimensions", "leave dimensions out and cut them here, as served@dim=64"),
        ({"encoding": "base64"}, "encoding_format", 'add unsent = ["encoding_format"]'),
    ],
)
def test_a_field_that_a_server_refuses_is_found_by_leaving_it_out(
    connect: Connect, proxy: Proxy, keys: dict[str, Any], field: str, fix: str
) -> None:
    refused = {"kind": "status", "status": 400, "message": "extra inputs", "only": f'"{field}"'}
    proxy.behave(default=refused)
    with pytest.raises(
        ModelError, match=rf"the server refuses the field {field} \(.*\) of the request.*extra inputs"
    ) as caught:
        connect(**keys)
    assert fix in caught.value.fix


class Slow(ServedFake):
    """A server that answers in time only while no more than ``alone`` requests may be in flight."""

    facts = ModelFacts(dimensions=1)

    def __init__(self, alone: int) -> None:
        super().__init__(Limits(texts=4, tokens=100, requests=4))
        self.alone = alone
        self.sizes: list[int] = []

    def prepare(self, texts: Sequence[str], _: Role) -> list[PreparedText]:
        return [PreparedText(text, 1, 1) for text in texts]

    def submit(self, batch: Sequence[PreparedText], _: Role, **__: object) -> Future[AnsweredBatch]:
        self.sizes.append(len(batch))
        future: Future[AnsweredBatch] = Future()
        if self.pace.requests > self.alone:
            future.set_exception(RequestError(EndpointError("no answer within 9 s", timed_out=True), where=self.where))
        else:
            future.set_result(AnsweredBatch(np.ones((len(batch), 1), np.float32), batch, {}))
        return future

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        return self.submit(batch, role).result().vectors


def test_a_single_text_without_an_answer_in_time_is_sent_again_with_fewer_beside_it() -> None:
    model = Slow(alone=1)
    assert run(model, list("abcdefgh")).vectors.shape == (8, 1)
    assert (model.pace.texts, model.pace.requests) == (1, 1)
    assert model.sizes[:2] == [4, 4]


def test_a_single_text_with_none_beside_it_needs_a_longer_time() -> None:
    with pytest.raises(ModelError, match=r"model 'fake': no answer within 9 s\n.*\n  fix: raise timeout"):
        run(Slow(alone=0), list("abcdefgh"))
