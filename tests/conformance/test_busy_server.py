"""Servers that are broken in one way each: the probe for it fails, and an honest server passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pytest_embedbench.conformance.outcome import ProbeOutcome
from pytest_embedbench.conformance.probes import PROBES
from pytest_embedbench.conformance.subject import Subject
from pytest_embedbench.models.served.endpoint import EndpointModel
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from tests.support.toy_endpoint import Fault, Rows, ToyEndpoint, honest, mixes_up, vector

pytest.importorskip("httpx2")


def wrong_at_equal_length(_: ToyEndpoint, texts: list[str], rows: Rows, __: bool) -> Rows:
    return rows[::-1] if len({len(text.split()) for text in texts}) == 1 else rows


def remembers(server: ToyEndpoint, texts: list[str], rows: Rows, __: bool) -> Rows:
    if server.before and max(map(len, server.before)) > max(map(len, texts)):
        return [row + 0.5 * vector(server.before[0]) for row in rows]
    return rows


FAULTS = {"concurrency": mixes_up, "equal-length": wrong_at_equal_length, "state": remembers}


@contextmanager
def served(fault: Fault, **keys: Any) -> Iterator[Subject]:
    with ToyEndpoint(fault) as server:
        named = NamedModel(alias="m", spec=ModelSpec(kind="endpoint", url=server.url, model="m", **keys))
        endpoint = EndpointModel(named)
        yield Subject(named, endpoint)
        endpoint.close()


@pytest.mark.parametrize("probe", FAULTS)
def test_a_server_that_is_broken_in_this_way_fails(probe: str) -> None:
    with served(FAULTS[probe]) as subject:
        found = PROBES[probe].ask(subject)
    assert found.status == "failed"
    assert "apart (1 - cosine); worst: " in found.explanation
    assert "\nfix: " in found.explanation


def test_an_honest_server_passes() -> None:
    with served(honest) as subject:
        outcomes: dict[str, ProbeOutcome] = {probe: PROBES[probe].ask(subject) for probe in FAULTS}
        direction = PROBES["direction"].ask(subject)
    assert {outcome.status for outcome in outcomes.values()} == {"passed"}
    assert direction.status == "skipped"
    assert "only local models give them; where reference names the weights" in direction.explanation


def test_one_request_at_a_time_has_no_concurrency_to_probe() -> None:
    with served(mixes_up, concurrency=1) as subject:
        found = PROBES["concurrency"].ask(subject)
    assert (found.status, "concurrency = 1" in found.explanation) == ("skipped", True)


def test_as_many_requests_are_in_flight_as_while_texts_are_encoded() -> None:
    with served(honest, concurrency=5, batch_texts=2) as subject:
        assert PROBES["concurrency"].ask(subject).status == "passed"
