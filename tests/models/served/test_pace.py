"""What a server takes: refused batches and time-outs lower it for good, its own speed bounds the first requests."""

from __future__ import annotations

import pytest

from pytest_embedbench.models.served.pace import Pace


@pytest.fixture
def pace() -> Pace:
    return Pace(32, 8, timeout=120)


def test_the_definitions_limits_hold_first(pace: Pace) -> None:
    assert (pace.texts, pace.requests) == (32, 8)
    pace.answered(3, 0.1, in_flight=1)
    assert (pace.texts, pace.requests) == (32, 8)
    assert pace.take_notes() == []


def test_a_refused_size_is_halved_once_however_many_requests_had_it(pace: Pace) -> None:
    for _ in range(8):
        pace.refused(32, "batch size 32 > 10")
    assert pace.texts == 16
    pace.refused(16, "batch size 16 > 10")
    (note,) = pace.take_notes()
    assert note == (
        "the server refuses 16 texts in one request (batch size 16 > 10); they are sent 8 at a time, and batch_texts = 8 "
        "in the model's definition does so from the start"
    )
    assert pace.take_notes() == []


def test_after_a_time_out_less_is_sent_and_fewer_at_once(pace: Pace) -> None:
    for _ in range(8):
        pace.timed_out(32, 8, "no answer")
    assert (pace.texts, pace.requests) == (16, 4)
    for texts, requests in [(16, 4), (8, 2), (4, 1), (2, 1)]:
        pace.timed_out(texts, requests, "no answer")
    assert (pace.texts, pace.requests) == (1, 1)
    pace.timed_out(1, 1, "no answer")
    assert len(pace.take_notes()) == 1


def test_a_slow_server_gets_no_more_than_it_can_answer_in_half_the_time(pace: Pace) -> None:
    pace.answered(3, 12.0, in_flight=1)  # 4 s a text, one after the other
    assert (pace.texts, pace.requests) == (1, 8)
    pace.answered(1, 32.0, in_flight=8)
    assert (pace.texts, pace.requests) == (1, 8)
    slower = Pace(32, 8, timeout=20)
    slower.answered(3, 12.0, in_flight=1)
    assert (slower.texts, slower.requests) == (1, 2)


def test_a_cold_start_is_forgotten(pace: Pace) -> None:
    pace.answered(3, 60.0, in_flight=1)
    assert (pace.texts, pace.requests) == (1, 3)
    for _ in range(20):
        pace.answered(pace.texts, 0.05 * pace.texts, in_flight=pace.requests)
    assert (pace.texts, pace.requests) == (32, 8)


def test_requests_in_flight_are_counted_at_their_most(pace: Pace) -> None:
    first, second = pace.sending(), pace.sending()
    assert (first, second) == (1, 2)
    assert (pace.ended(first), pace.ended(second)) == (2, 2)
    assert pace.ended(pace.sending()) == 1
