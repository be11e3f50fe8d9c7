"""Load profiles of a model behind HTTP: the loops, the server's own times, and the cost of the client."""

from __future__ import annotations

import itertools
import json
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.encode.variant_encoder import VariantEncoder, variant_encoder
from pytest_embedbench.encode.vector_form import VectorForm
from pytest_embedbench.errors import ModelError
from pytest_embedbench.load.closed_loop import SideProfile, profile_side
from pytest_embedbench.load.notes import notes
from pytest_embedbench.load.open_loop import OpenLoop, profile_open_side
from pytest_embedbench.load.rate_search import max_rate
from pytest_embedbench.load.shape import LoadShape, OpenShape
from pytest_embedbench.load.statistics import ServerTime, SideStatistics, by_part
from pytest_embedbench.models.served.endpoint import EndpointModel
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.models.variants import FULL_VECTORS
from tests.load.conftest import answer, embeddings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_embedbench.models.protocol import TokenSource
    from tests.load.conftest import Server

TEXTS = [f"text number {number}" for number in range(600)]


@pytest.fixture
def model(server: Server) -> Iterator[VariantEncoder]:
    """Return the model as profiles get it: as a variant, here the whole."""
    spec = ModelSpec(kind="endpoint", url=server.url, model="m", query_prompt="find: ", timeout=120)
    endpoint = EndpointModel(NamedModel(alias="served", spec=spec))
    server.requests.clear()
    server.heads.clear()
    server.connections = server.peak = 0
    yield variant_encoder(endpoint, VectorForm(FULL_VECTORS), endpoint.facts)
    endpoint.close()


def profile(model: VariantEncoder, shape: LoadShape, *, requests: int = 10**6, seconds: float = 3600) -> SideProfile:
    return profile_side(
        model, TEXTS, "query", shape, requests=requests, seconds=seconds, batch_tokens=4096, progress=SilentProgress()
    )


@pytest.mark.parametrize("shape", [LoadShape(1, 1), LoadShape(1, 16), LoadShape(3, 4)], ids=str)
def test_so_many_requests_are_in_flight_over_as_many_connections(
    server: Server, model: VariantEncoder, shape: LoadShape
) -> None:
    server.seconds = lambda: 0.002
    result = profile(model, shape, requests=100)
    assert result.statistics.requests == len(result.samples) == 100
    assert server.peak == server.connections == shape.concurrency
    warm_up = result.statistics.warm_up
    assert warm_up is not None
    loaded = server.requests[: warm_up.requests + 100]  # after these a sample is asked for again
    sent = [text for request in loaded for text in request["input"]]
    assert len(sent) == len(set(sent)) == shape.batch * len(loaded)
    assert {text for request in server.requests for text in request["input"]} == set(sent)
    assert all(text.startswith("find: text number ") for text in sent)
    assert all(sample.latency_ms >= 2 for sample in result.samples)
    assert result.statistics.serving is None
    assert result.statistics.tokens == 100 * shape.batch * 4, "as the server counts"


@pytest.mark.parametrize(
    ("usage", "source"),
    [
        ({"prompt_tokens": 7}, "usage"),
        ({"prompt_tokens": 7, "source": "character_estimate"}, "estimate"),
        ({"prompt_tokens": 0}, "estimate"),
        ({"prompt_tokens": 10**9}, "estimate"),
        ({"prompt_tokens": "7"}, "estimate"),
        (None, "estimate"),
    ],
)
def test_the_side_says_whose_count_its_tokens_are(
    server: Server, model: VariantEncoder, usage: Any, source: TokenSource
) -> None:
    def reply(request: dict[str, Any]) -> bytes:
        return answer(json.dumps({"data": [{"embedding": [1.0, 0.5, 0.5]}], "usage": usage}).encode())

    server.reply = reply
    side = profile(model, LoadShape(1, 2), requests=20).statistics
    assert side.tokens_from == source
    assert (side.tokens == 20 * 7) is (usage is not None and usage["prompt_tokens"] == 7)
    said = "query: tokens are an estimate from characters, not a count"
    assert (said in notes({"query": side})) is (source == "estimate")


def test_a_profile_ends_for_the_same_reasons(model: VariantEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_embedbench.load.closed_loop.is_precise", lambda _: False)
    assert profile(model, LoadShape(1, 4), requests=50).statistics.ended == "requests"
    assert profile(model, LoadShape(1, 4)).statistics.ended == "texts"
    short = profile(model, LoadShape(1, 4), seconds=1e-9).statistics
    assert (short.ended, short.requests >= 4) == ("time", True)
    monkeypatch.setattr("pytest_embedbench.load.closed_loop.is_precise", lambda _: True)
    monkeypatch.setattr("pytest_embedbench.load.clients.endpoint_clients.POLL_SECONDS", 0.001)
    assert profile(model, LoadShape(1, 1)).statistics.ended == "precise"


def test_what_the_server_says_of_its_time_is_broken_out(server: Server, model: VariantEncoder) -> None:
    times = itertools.cycle([1.0, 2.0, 3.0])

    def timed(request: dict[str, Any]) -> bytes:
        queue = next(times)
        return embeddings(request, f"x-queue-time: {queue}", "x-tokenization-time: 0.5", "Server-Timing: infer;dur=7")

    server.reply = timed
    result = profile(model, LoadShape(1, 2), requests=30).statistics
    assert result.server["queue"].mean_ms == pytest.approx(2)
    assert result.server["queue"].p50_ms == 2
    assert result.server["tokenize"] == ServerTime(mean_ms=0.5, p50_ms=0.5, p99_ms=None)
    assert result.server["infer"] == ServerTime(mean_ms=7, p50_ms=7, p99_ms=None)
    assert msgspec.json.decode(msgspec.json.encode(result), type=SideStatistics) == result


def test_a_header_of_no_known_part_stays_and_the_first_of_two_counts() -> None:
    said = {"x-queue-time": 4.0, "server-timing:queue": 9.0, "server-timing:cache": 1.0}
    assert {part: time.mean_ms for part, time in by_part([said] * 2).items()} == {
        "queue": 4.0,
        "server-timing:cache": 1.0,
    }
    assert by_part([]) == {}


def test_the_clients_own_cost_is_measured(server: Server, model: VariantEncoder) -> None:
    result = profile(model, LoadShape(2, 4), requests=50).statistics
    assert result.client is not None
    assert result.client.capacity_per_s > 0
    assert 0 < result.client.cpu_share <= 1.05
    assert all("sk-" not in head for head in server.heads)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (answer(b'{"error": {"message": "slow down"}}', status="429 No"), "HTTP 429: slow down"),
        (answer(b"", "Location: http://elsewhere/", status="307 No"), "HTTP 307, without a message"),
        (answer(b"<html>", kind="text/html"), "the answer is 'text/html', not JSON: <html>"),
        (answer(b'{"data": []}'), "0 vectors came for 1 text"),
        (answer(b'{"data": [{"embedding": [1, 2]}]}'), "an answer has 2 dimensions, the first one had 3"),
        (answer(b'{"data": [{"embedding": [1, 2, 1e400]}]}'), "the vector of a text is NaN or infinite"),
        (b"", "the server closed the connection"),
    ],
    ids=["busy", "moved", "no JSON", "too few", "another size", "infinity", "closed"],
)
def test_a_failure_under_load_ends_it_with_one_clear_error(
    server: Server, model: VariantEncoder, reply: bytes, said: str
) -> None:
    calls = itertools.count()
    server.reply = lambda request: embeddings(request) if next(calls) < 40 else reply
    with pytest.raises(ModelError, match=f"^model 'served': {server.url}/embeddings: .*({said})"):
        profile(model, LoadShape(1, 4))
    assert not [thread for thread in threading.enumerate() if thread.name == "embedbench-load"]


def test_an_answer_that_takes_too_long_is_an_error(server: Server) -> None:
    endpoint = EndpointModel(NamedModel(alias="served", spec=ModelSpec(kind="endpoint", url=server.url, timeout=0.2)))
    try:
        server.seconds = lambda: 1.0
        with pytest.raises(ModelError, match=r"no answer within 0\.2 s"):
            profile(variant_encoder(endpoint, VectorForm(FULL_VECTORS), endpoint.facts), LoadShape(1, 2))
    finally:
        endpoint.close()


def test_the_key_goes_to_the_server_and_into_no_error(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-0123456789abcdef"
    monkeypatch.setenv("SERVED_KEY", key)
    spec = ModelSpec(kind="endpoint", url=server.url, api_key_env="SERVED_KEY")
    endpoint = EndpointModel(NamedModel(alias="served", spec=spec))
    try:
        server.heads.clear()
        server.reply = lambda _: answer(f'{{"error": "wrong key {key}"}}'.encode(), status="401 No")
        with pytest.raises(ModelError, match=r"wrong key \[API key\]") as caught:
            profile(variant_encoder(endpoint, VectorForm(FULL_VECTORS), endpoint.facts), LoadShape(1, 2))
    finally:
        endpoint.close()
    assert f"Authorization: Bearer {key}" in server.heads[0]
    shown = [repr(dict(entry.locals)) for entry in list(caught.traceback)[1:]]
    assert len(shown) > 3
    assert not [text for text in shown if key in text], "as a failure report with local variables would"


def test_requests_over_the_endpoints_limit_are_split_as_ever(server: Server) -> None:
    endpoint = EndpointModel(NamedModel(alias="served", spec=ModelSpec(kind="endpoint", url=server.url, batch_texts=2)))
    try:
        server.requests.clear()
        profile(variant_encoder(endpoint, VectorForm(FULL_VECTORS), endpoint.facts), LoadShape(5, 2), requests=10)
    finally:
        endpoint.close()
    assert {len(request["input"]) for request in server.requests} == {1, 2}


def test_an_open_loop_of_an_endpoint(server: Server, model: VariantEncoder) -> None:
    """All answers take long; each request has a client of its own, so that none waits for another's answer."""
    server.seconds = lambda: 0.3
    with OpenLoop(model, TEXTS, "query", 1, 4096) as loop:
        side = loop.run(400, 60)
    assert (side.statistics.requests, side.gave_up) == (60, False)
    assert all(sample.latency_ms >= 300 for sample in side.samples)
    assert server.peak > 30


def open_profile(model: VariantEncoder, shape: OpenShape, *, seconds: float = 3600) -> SideProfile:
    return profile_open_side(
        model, TEXTS, "query", shape, requests=10**6, seconds=seconds, batch_tokens=4096, progress=SilentProgress()
    )


def test_a_profile_at_one_rate(server: Server, model: VariantEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_embedbench.load.open_loop.is_precise", lambda _: False)
    side = open_profile(model, OpenShape(1, 1000)).statistics
    assert (side.ended, side.unanswered, side.distinct_texts) == ("texts", 0, side.requests)
    assert side.warm_up is not None
    loaded = server.requests[: side.warm_up.requests + side.requests]
    sent = [text for request in loaded for text in request["input"]]
    assert len(sent) == len(set(sent)), "none is sent twice"
    assert side.arrivals is not None
    assert side.arrivals.rate_per_s == 1000
    assert side.arrivals.lag_ms >= 0
    assert side.client is not None, "what the client itself takes"
    one = open_profile(model, OpenShape(1, 0.001), seconds=0.05).statistics
    assert (one.requests, one.ended) == (1, "time")


def test_connections_have_an_end_and_waiting_for_one_is_part_of_the_latency(
    server: Server, model: VariantEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_embedbench.load.clients.endpoint_clients.MAX_IN_FLIGHT", 4)
    server.seconds = lambda: 0.05
    with OpenLoop(model, TEXTS, "query", 1, 4096) as loop:
        side = loop.run(1000, 40)
    assert server.peak <= 4
    last = max(side.samples)
    assert last.lag_ms is not None
    assert last.latency_ms - 50 >= last.lag_ms > 100


def test_a_profile_that_an_endpoint_does_not_keep_up_with(server: Server, model: VariantEncoder) -> None:
    """The server answers one request at a time, 50 a second, and 400 a second come."""
    under_way = itertools.count(1)
    server.seconds = lambda: 0.02 if len(server.requests) < 60 else 0.02 * next(under_way)
    side = open_profile(model, OpenShape(1, 400), seconds=0.5).statistics
    assert side.ended == "time"
    assert side.unanswered > 50
    assert side.arrivals is not None
    assert side.arrivals.kept_up is False
    assert not [thread for thread in threading.enumerate() if thread.name == "embedbench-load"]


def test_the_highest_rate_of_an_endpoint(server: Server, model: VariantEncoder) -> None:
    with OpenLoop(model, TEXTS, "query", 1, 4096) as loop:
        result, sides = max_rate(loop, limit_ms=30, seconds=2, progress=SilentProgress())
    assert [len(side.samples) for side in sides] == [probe.requests for probe in result.probes]
    assert result.ended in {"time", "precise"}


@pytest.mark.parametrize(
    ("reply", "said", "fix"),
    [
        (answer(b'{"detail": "batch size 4 > 2"}', status="413 No"), "HTTP 413: batch size 4 > 2", "such as b1"),
        (answer(b'{"detail": "no"}', status="422 No"), "HTTP 422: no", "all of its 4 texts in one request"),
        (
            answer(b'{"error": {"message": "at most 512 tokens"}}', status="400 No"),
            "at most 512 tokens",
            "max_seq_length",
        ),
        (
            answer(b'{"error": {"message": "no", "code": 400}}'),
            "HTTP 200, but the answer is an error: no",
            "such as b1",
        ),
        (answer(b'{"data": [{"index": 0, "embedding": [1, 2, 3]}]}'), "1 vector came for 4 texts", "such as b1"),
    ],
    ids=["batch", "no words", "length", "under 200", "one vector"],
)
def test_a_load_is_not_made_smaller_but_ends_with_a_fix(
    server: Server, model: VariantEncoder, reply: bytes, said: str, fix: str
) -> None:
    calls = itertools.count()
    server.reply = lambda request: embeddings(request) if next(calls) < 10 else reply
    with pytest.raises(ModelError) as caught:
        profile(model, LoadShape(4, 2))
    assert said in caught.value.problem
    assert fix in caught.value.fix


def test_requests_that_the_definition_spreads_are_not_made_smaller_either(
    server: Server, model: VariantEncoder
) -> None:
    """``batch_texts`` spreads a profile's request over several, which the server still refuses."""
    refusal = answer(b'{"detail": "batch size too large"}', status="413 No")

    def reply(request: dict[str, Any]) -> bytes:
        return refusal if len(request["input"]) > 16 else embeddings(request)

    server.reply = reply
    with pytest.raises(ModelError, match="HTTP 413: batch size too large") as caught:
        profile(model, LoadShape(64, 1))
    assert "such as b1" in caught.value.fix
