"""What a server gives under load is verified afterwards: a mix-up ends the load with an error, rounding does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.encode.variant_encoder import VariantEncoder, variant_encoder
from pytest_embedbench.encode.vector_form import VectorForm
from pytest_embedbench.encode.verification import DifferentVectorsError
from pytest_embedbench.load.closed_loop import profile_side
from pytest_embedbench.load.open_loop import OpenLoop, profile_open_side
from pytest_embedbench.load.received import SAMPLE_TEXTS, ReceivedSample
from pytest_embedbench.load.shape import LoadShape, OpenShape
from pytest_embedbench.load.side_by_side import Conditions, compare_side
from pytest_embedbench.models.callable import CallableModel
from pytest_embedbench.models.protocol import Encoder
from pytest_embedbench.models.served.endpoint import EndpointModel
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from tests.support.toy_endpoint import Fault, ToyEndpoint, honest, mixes_up, vector

pytest.importorskip("httpx2")

TEXTS = [f"number {number} of {number % 7} texts" for number in range(90)]
PLAN: dict[str, Any] = {"requests": 60, "seconds": 3600.0, "batch_tokens": 4096, "progress": SilentProgress()}


@contextmanager
def served(fault: Fault, **keys: Any) -> Iterator[VariantEncoder]:
    """Give a model behind a server with this fault, as profiles get it; ``keys`` are of its definition."""
    with ToyEndpoint(fault) as server:
        spec = ModelSpec(kind="endpoint", url=server.url, model="m", **keys)
        named = NamedModel(alias="served", spec=spec)
        endpoint = EndpointModel(named)
        yield variant_encoder(endpoint, VectorForm(named.variant, endpoint.facts.normalized), endpoint.facts)
        endpoint.close()


def closed(model: Encoder) -> None:
    profile_side(model, TEXTS, "query", LoadShape(2, 4), **PLAN)


def opened(model: Encoder) -> None:
    profile_open_side(model, TEXTS, "query", OpenShape(2, 200), **PLAN)


def searched(model: Encoder) -> None:
    with OpenLoop(model, TEXTS, "query", 2, 4096) as loop:
        loop.run(200, 40)
        loop.verify()


def compared(model: Encoder) -> None:
    conditions = Conditions(0.0, 0.95, 4096, SilentProgress())
    compare_side(
        (model, CallableModel(lambda texts, _: list(map(vector, texts)))), TEXTS, "query", LoadShape(2, 4), conditions
    )


LOADS: dict[str, Callable[[Encoder], None]] = {
    "closed loop": closed,
    "open loop": opened,
    "rate search": searched,
    "side by side": compared,
}


@pytest.mark.parametrize("load", LOADS)
def test_vectors_that_are_mixed_up_under_load_end_it(load: str) -> None:
    said = r"a query's vector that came under load is .* apart(.|\n)* got another vector; no latency is kept\n  fix: "
    with served(mixes_up) as model, pytest.raises(DifferentVectorsError, match=said):
        LOADS[load](model)


@pytest.mark.parametrize("load", LOADS)
def test_right_vectors_are_no_obstacle(load: str) -> None:
    with served(honest) as model:
        LOADS[load](model)


def test_variants_are_compared_in_the_form_in_which_vectors_come() -> None:
    with served(honest, dimensions_kept=16) as model:
        closed(model)
        assert model.forward(model.prepare(TEXTS[:2], "query"), "query").shape == (2, 16)
    with served(honest, precision="binary", batch_texts=1) as model:
        # Requests of two texts: the model itself spreads them over requests of one.
        profile_side(model, TEXTS, "query", LoadShape(2, 4), **{**PLAN, "requests": 8})


def test_a_function_is_verified_under_load_too() -> None:
    def exchanged(texts: Sequence[str], _: str) -> np.ndarray:
        return np.array([vector(text) for text in reversed(texts)])

    with pytest.raises(DifferentVectorsError, match=r"let the function treat each text alone"):
        closed(CallableModel(exchanged))


def test_the_sample_is_bounded_and_from_the_whole_load() -> None:
    model = CallableModel(lambda texts, _: [vector(text) for text in texts])
    sample = ReceivedSample(model, "query", formed=True)
    for number in range(3000):
        texts = [f"{number}"]
        sample.add(texts, model.prepare(texts, "query"), np.zeros((1, 4), np.float32))
    chosen = [int(received.text) for received in sample._sample]
    assert len(set(chosen)) == SAMPLE_TEXTS
    assert min(chosen) < 300
    assert max(chosen) > 2700
