"""The model behind a real server: its vectors are the local model's, under faults too, and failures are clear."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_embedbench.encode.cache import VectorCache
from pytest_embedbench.encode.loop import Encoded, encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import Encoder, ServedEncoder
from pytest_embedbench.models.served.endpoint import EndpointModel, endpoint_fingerprint
from pytest_embedbench.models.text_errors import UnusableTextsError
from tests.models.served.conftest import named

if TYPE_CHECKING:
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from tests.models.served.conftest import Connect, Proxy

TEXTS = [f"the {word} number {number}" for number in range(20) for word in ("whale", "castle")]
BUSY = {"kind": "status", "status": 429}


def run(model: Encoder, texts: list[str] = TEXTS, **more: Any) -> Encoded:
    return encode(model, texts, "document", batch_tokens=100_000, progress=SilentProgress(), **more)


@pytest.fixture(scope="session")
def expected(minilm: SentenceTransformerModel) -> np.ndarray[Any, Any]:
    return run(minilm).vectors


def assert_same(encoded: Encoded, expected: np.ndarray[Any, Any]) -> None:
    """Vectors of the same text differ by rounding: the server batches and pads otherwise."""
    assert encoded.vectors[encoded.indices] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_are_those_of_the_local_model(
    connect: Connect, proxy: Proxy, expected: np.ndarray[Any, Any], encoding: str
) -> None:
    model = connect(encoding=encoding, batch_texts=7)
    assert isinstance(model, ServedEncoder)
    assert_same(run(model), expected)
    assert (model.facts.dimensions, model.facts.normalized, model.facts.device) == (384, True, "endpoint")
    bodies = proxy.bodies()
    # The first one identifies the model; after these six, a sample is asked for again.
    assert sorted(len(body["input"]) for body in bodies[1:7]) == [5, 7, 7, 7, 7, 7]
    assert {text for body in bodies[7:] for text in body["input"]} <= set(TEXTS)
    assert {body["encoding_format"] for body in bodies} == {encoding}


def test_fields_that_a_service_refuses_are_not_sent(
    connect: Connect, proxy: Proxy, expected: np.ndarray[Any, Any]
) -> None:
    model = connect(dimensions=384, unsent=("dimensions", "encoding_format"))
    assert_same(run(model), expected)
    assert all(set(body) == {"model", "input"} for body in proxy.bodies())
    with pytest.raises(ModelError, match="dimensions"):
        connect(dimensions=512, unsent=("dimensions",))


FAULTS: dict[str, list[dict[str, Any]]] = {
    "too many requests": [BUSY, BUSY],
    "a server error": [{"kind": "status", "status": 500}, {"kind": "status", "status": 503}],
    "a wait asked for": [{"kind": "status", "status": 429, "headers": {"Retry-After": "0.2"}}],
    "a lost connection": [{"kind": "reset"}, {"kind": "truncate"}],
    "no answer in time": [{"kind": "hang", "seconds": 5}],
    "another order": [{"kind": "reverse"}] * 6,
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_passing_faults_change_nothing(
    connect: Connect, proxy: Proxy, expected: np.ndarray[Any, Any], faults: list[dict[str, Any]]
) -> None:
    model = connect(batch_texts=7, timeout=2.0)
    proxy.behave(*faults)
    assert_same(run(model), expected)


def test_no_more_requests_are_under_way_than_allowed(connect: Connect, proxy: Proxy) -> None:
    model = connect(batch_texts=2, concurrency=3)
    proxy.behave(default={"kind": "honest", "delay": 0.05})
    run(model)
    assert proxy.peak() == 3


def test_batches_keep_to_the_token_limit(connect: Connect, proxy: Proxy, minilm_folder: Path) -> None:
    model = connect(batch_tokens=50, tokenizer=str(minilm_folder))
    encoded = run(model)
    lengths = [text.length for text in model.prepare(TEXTS, "document")]
    assert encoded.tokens == sum(lengths)
    assert all(len(body["input"]) * max(lengths) <= 50 for body in proxy.bodies()[1:])


def test_dimensions_are_asked_of_the_server(connect: Connect, proxy: Proxy) -> None:
    model = connect(dimensions=64)
    assert (run(model).vectors.shape[1], model.facts.dimensions, model.facts.normalized) == (64, 64, True)
    assert {body["dimensions"] for body in proxy.bodies()} == {64}


def test_a_server_that_knows_no_dimensions_is_an_error(connect: Connect) -> None:
    with pytest.raises(ModelError, match=r"1000 dimensions were asked for, 384 came\n  fix: .*served@dim=1000"):
        connect(dimensions=1000)


def test_prompts_are_put_in_front_here(connect: Connect, proxy: Proxy) -> None:
    model = connect(query_prompt="query: ", document_prompt="passage: ")
    for role in ("query", "document"):
        encode(model, ["whale", ""], role, batch_tokens=1000, progress=SilentProgress())
    assert [sorted(body["input"]) for body in proxy.bodies()[1:] if len(body["input"]) == 2] == [
        ["query: ", "query: whale"],
        ["passage: ", "passage: whale"],
    ]
    assert model.facts.prompts == {"query": "query: ", "document": "passage: "}


def test_an_empty_text_is_sent_as_a_space(connect: Connect, proxy: Proxy, minilm: SentenceTransformerModel) -> None:
    assert_same(run(connect(), [""]), run(minilm, [""]).vectors)
    assert proxy.bodies()[1]["input"] == [" "]


def test_tokens_are_the_tokenizers(connect: Connect, minilm: SentenceTransformerModel, minilm_folder: Path) -> None:
    model = connect(query_prompt="find: ", tokenizer=str(minilm_folder), max_seq_length=12)
    texts = ["whales", "a much longer text that is cut somewhere on the way to its end", "", "naïve 図書館"]
    ours, theirs = model.prepare(texts, "document"), minilm.prepare(texts, "document")
    short = [0, 2, 3]
    assert [ours[i][1:] for i in short] == [theirs[i][1:] for i in short]
    assert ours[1][1:] == (12, 10, "tokenizer")
    cut = ours[1].payload.text
    assert texts[1].startswith(cut)
    assert minilm.prepare([cut], "document")[0].length == 12
    (query,) = model.prepare(["whales"], "query")
    assert (query.payload.text, query.length, query.own_tokens) == ("find: whales", 5, 1)


def test_tokens_are_the_servers_where_no_tokenizer_is_to_be_had(
    connect: Connect, minilm: SentenceTransformerModel
) -> None:
    model = connect(batch_texts=7)
    encoded = run(model)
    assert encoded.tokens == sum(text.length for text in minilm.prepare(TEXTS, "document"))
    assert encoded.own_tokens == encoded.tokens  # the server does not say which are special
    # What is prepared later is estimated at the rate that the server's counts have shown.
    again = sum(text.length for text in model.prepare(TEXTS, "document"))
    assert encoded.tokens <= again <= encoded.tokens + len(TEXTS)


def test_a_server_that_counts_nothing_leaves_the_estimate(connect: Connect, proxy: Proxy) -> None:
    proxy.behave(default={"kind": "uncounted"})
    assert run(connect(), ["twelve chars"]).tokens == 3


def test_a_tokenizer_that_is_not_there_is_an_error(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"no tokenizer.json: nobody/nothing .*\n  fix: .*, give a folder"):
        connect(tokenizer="nobody/nothing")


def test_the_servers_own_times_are_kept(connect: Connect, proxy: Proxy) -> None:
    model = connect()
    proxy.behave({"kind": "timing"})
    times = run(model).server_ms
    assert times.pop("x-inference-time") >= 0
    assert times == {"server-timing:cache": 1.5, "server-timing:total": 12}


def test_a_failure_keeps_what_was_encoded_and_the_next_run_goes_on(
    connect: Connect, proxy: Proxy, tmp_path: Path, expected: np.ndarray[Any, Any]
) -> None:
    model = connect(batch_texts=4, concurrency=2)
    cache = VectorCache(tmp_path / "cache").spaces("served", "f", model.facts, {})["document"]
    refused = {"kind": "status", "status": 400, "message": "input is odd", "only": "castle number 7"}
    proxy.behave(default=refused)
    with pytest.raises(UnusableTextsError) as caught:
        run(model, cache=cache)
    assert str(caught.value).startswith(
        "model 'served': this document is refused by the server: HTTP 400: input is odd "
        "(19 characters: 'the castle number 7')\n  39 of 40 texts were encoded"
    )
    assert "; the embedding cache has them for the next run" in str(caught.value)
    found = cache.read(TEXTS)
    assert [TEXTS[index] for index in found.missing] == ["the castle number 7"]
    proxy.behave()
    again = run(model, cache=cache)
    assert_same(again, expected)
    assert again.cached_texts == 39
    assert {text for body in proxy.bodies() for text in body["input"]} == {TEXTS[i] for i in found.missing}
    assert again.tokens == run(connect(), TEXTS).tokens


def test_without_a_cache_the_message_promises_none(connect: Connect, proxy: Proxy) -> None:
    model = connect(batch_texts=40)
    proxy.behave({"kind": "status", "status": 404, "message": "no such model"})
    with pytest.raises(
        ModelError,
        match=r"^model 'served': .*HTTP 404: no such model\n  0 of 40 texts were encoded before\n  fix: give the",
    ):
        run(model)


def test_the_budget_of_retries_is_hard(connect: Connect, proxy: Proxy) -> None:
    model = connect(retries=1, batch_texts=40)
    proxy.behave(default={"kind": "status", "status": 500})
    with pytest.raises(ModelError, match="all 1 retries are used up"):
        run(model, TEXTS[:1])
    assert len(proxy.bodies()) == 2


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("lose", r"39 vectors came for 40 texts(.|\n)*fix: try batch_texts = 1"),
        ("shorten", "an answer has 383 dimensions, the first one had 384"),
    ],
)
def test_answers_that_cannot_be_used_are_errors(connect: Connect, proxy: Proxy, fault: str, problem: str) -> None:
    model = connect(batch_texts=40)
    proxy.behave({"kind": fault})
    with pytest.raises(ModelError, match=problem):
        run(model)


def test_an_endpoint_that_is_not_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ModelError, match=r"model 'served': http://127.0.0.1:1/v1/embeddings: connection refused\n  fix: start"
    ):
        EndpointModel(named("http://127.0.0.1:1/v1", retries=0))


def test_forward_splits_what_one_request_cannot_hold(
    connect: Connect, proxy: Proxy, expected: np.ndarray[Any, Any]
) -> None:
    model = connect(batch_texts=7)
    assert model.forward(model.prepare(TEXTS, "document"), "document") == pytest.approx(expected, abs=1e-5)
    assert max(len(body["input"]) for body in proxy.bodies()[1:]) == 7


def test_many_threads_may_ask_at_once(connect: Connect, expected: np.ndarray[Any, Any]) -> None:
    model = connect()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda text: model.forward(model.prepare([text], "document"), "document")[0], TEXTS))
    assert np.array(made) == pytest.approx(expected, abs=1e-5)


def test_stopping_in_the_middle_stops_what_is_under_way(connect: Connect, proxy: Proxy) -> None:
    model = connect(concurrency=2, batch_texts=4)
    proxy.behave({"kind": "honest"}, default={"kind": "hang", "seconds": 20})

    class Stop(SilentProgress):
        def advance(self, tokens: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(model, TEXTS, "document", batch_tokens=1000, progress=Stop())
    model.close()  # would wait for nothing


def test_a_model_that_is_forgotten_ends_its_thread(served: str) -> None:
    gc.collect()  # models that earlier tests have forgotten
    before = threading.active_count()
    model = EndpointModel(named(served))
    assert threading.active_count() == before + 1
    del model
    gc.collect()
    assert threading.active_count() == before


def test_the_fingerprint_is_who_answers(served: str, proxy: Proxy) -> None:
    first = endpoint_fingerprint(named(served))
    assert endpoint_fingerprint(named(served + "/")) == first
    assert endpoint_fingerprint(named(served, batch_texts=3, encoding="base64", query_prompt="q: ")) == first
    others = [named(served, dimensions=64), named(proxy.url), named(served, revision="1"), named(served, revision="2")]
    assert len({first, *map(endpoint_fingerprint, others)}) == 5
    behind = endpoint_fingerprint(named(proxy.url))
    proxy.behave(default={"kind": "shorten"})  # another model under the same name
    assert endpoint_fingerprint(named(proxy.url)) != behind


def test_with_a_revision_nothing_is_asked() -> None:
    assert len(endpoint_fingerprint(named("http://127.0.0.1:1/v1", revision="2026-11"))) == 64
