"""The bodies of /embeddings: vectors in the texts' order in both encodings, broken answers, and timing headers."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.remote.embeddings import Embeddings, request_body, server_times
from pytest_embedbench.remote.errors import AnswerError, OrderError

ROWS = np.array([[0.1, -2.5, 3.0], [1e-8, 7.0, -0.0], [4.0, 5.0, 6.0]], np.float32)


def body(rows: list[Any], indices: list[Any], **more: Any) -> Embeddings:
    data = [
        {"embedding": row} | ({} if index is None else {"index": index})
        for row, index in zip(rows, indices, strict=True)
    ]
    return msgspec.json.decode(json.dumps({"object": "list", "data": data, **more}), type=Embeddings)


def in_base64(row: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()


@pytest.mark.parametrize("write", [np.ndarray.tolist, in_base64], ids=["float", "base64"])
@given(order=st.permutations(range(3)))
def test_vectors_come_in_the_order_of_their_indices(write: Any, order: list[int]) -> None:
    answer = body([write(ROWS[index]) for index in order], list(order))
    assert answer.vectors(3).tobytes() == ROWS.tobytes()


def test_without_indices_the_order_is_that_of_the_answer() -> None:
    answer = body(ROWS.tolist(), [None] * 3)
    with pytest.raises(OrderError, match="the vectors' indices are missing") as caught:
        answer.vectors(3)
    assert caught.value.standing.tolist() == ROWS.tolist()
    assert answer.vectors(3, in_order=True).tolist() == ROWS.tolist()


@pytest.mark.parametrize(
    "indices", [[0, 0, 0], [1, 2, 3], [0, 1, None], ["0", "1", "2"], [0.0, 1.0, 2.0], [True, 0, 2]]
)
def test_wrong_indices_leave_the_order_of_the_answer_where_that_is_known(indices: list[Any]) -> None:
    answer = body(ROWS.tolist(), indices)
    with pytest.raises(OrderError, match="indices are not 0 to 2, each once"):
        answer.vectors(3)
    assert answer.vectors(3, in_order=True).tolist() == ROWS.tolist()


def test_right_indices_hold_even_where_the_order_is_known() -> None:
    assert body(ROWS.tolist(), [2, 1, 0]).vectors(3, in_order=True).tolist() == ROWS[::-1].tolist()


@pytest.mark.parametrize("index", [None, 1, "x"])
def test_the_only_vector_needs_no_index(index: Any) -> None:
    assert body([[1.0, 2.0]], [index]).vectors(1).tolist() == [[1.0, 2.0]]


def test_null_is_nan_and_a_number_beyond_float32_is_infinity() -> None:
    assert np.isnan(body([[]], [0]).vectors(1, 2)).all()  # the length is known from before
    answer = body([[1.0, 2.0], [None, 2.0], None, [1e39, 0], []], [0, 1, 2, 3, 4]).vectors(5)
    assert np.isnan(answer).tolist() == [[False] * 2, [True, False], [True] * 2, [False] * 2, [True] * 2]
    assert answer[3].tolist() == [np.inf, 0]


@pytest.mark.parametrize(
    ("rows", "indices", "problem"),
    [
        (ROWS.tolist()[:2], [0, 1], "2 vectors came for 3 texts"),
        ([[1.0], [1.0, 2.0], [1.0]], [0, 1, 2], r"have \[1, 2\] dimensions"),
        ([[], [], []], [0, 1, 2], "the vectors are empty"),
        ([None, None, None], [0, 1, 2], "the vectors are null"),
        ([[[1.0, 2.0]]] * 3, [0, 1, 2], r"list of vectors \(1 x 2\), one a token: the server does not pool"),
        ([["1.0"]] * 3, [0, 1, 2], "values of type str, not numbers"),
        ([[True]] * 3, [0, 1, 2], "values of type bool, not numbers"),
        ([[10**400]] * 3, [0, 1, 2], "beyond any float"),
        ([{"values": [1.0]}] * 3, [0, 1, 2], "a vector is of type dict"),
        (["AAAA" * 4, "not base64!", "AAAA" * 4], [0, 1, 2], "base64 cannot be read"),
        (["AAA=", "AAA=", "AAA="], [0, 1, 2], "base64 cannot be read"),  # two bytes are no float32
    ],
)
def test_broken_answers_are_refused(rows: list[Any], indices: list[int | None], problem: str) -> None:
    with pytest.raises(AnswerError, match=problem):
        body(rows, indices).vectors(3)


def test_dimensions_are_asked_for_only_when_given() -> None:
    assert request_body("m", ["a"], dimensions=None, encoding="float") == {
        "model": "m", "input": ["a"], "encoding_format": "float"
    }  # fmt: skip
    assert request_body("m", ["a"], dimensions=64, encoding="base64")["dimensions"] == 64


def test_timing_headers_are_milliseconds_by_name() -> None:
    headers = {
        "openai-processing-ms": "23",
        "x-inference-time": "1.5",
        "x-queue-time": "soon",
        "server-timing": 'miss, db;dur=53, app;desc="an app";dur=47.2',
        "content-type": "application/json",
    }
    assert server_times(headers) == {
        "openai-processing-ms": 23.0,
        "x-inference-time": 1.5,
        "server-timing:db": 53.0,
        "server-timing:app": 47.2,
    }
    assert server_times({}) == {}


@given(st.text())
def test_no_timing_header_is_an_error(text: str) -> None:
    assert all(value >= 0 for value in server_times({"server-timing": text}).values())


def test_order_by_index_of_a_large_answer() -> None:
    rows = np.arange(2000, dtype=np.float32).reshape(-1, 2)
    order = random.Random(1).sample(range(1000), 1000)
    assert np.array_equal(body([rows[index].tolist() for index in order], list(order)).vectors(1000), rows)
