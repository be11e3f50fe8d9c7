"""A memo computes each result once, and raises an error again instead of trying twice."""

from __future__ import annotations

import pytest

from pytest_embedbench.engine.memo import Memo
from pytest_embedbench.errors import ModelError


def test_a_result_is_computed_once_for_each_key() -> None:
    memo: Memo[str, int] = Memo()
    assert [memo.get("a", lambda: 1), memo.get("a", lambda: 2), memo.get("b", lambda: 3)] == [1, 1, 3]


def test_an_error_is_kept() -> None:
    memo: Memo[str, int] = Memo()

    def fail() -> int:
        raise ModelError("cannot be loaded")

    with pytest.raises(ModelError) as first:
        memo.get("a", fail)
    with pytest.raises(ModelError) as second:
        memo.get("a", lambda: 1)
    assert first.value is second.value


def test_a_result_that_other_work_gave_is_used() -> None:
    memo: Memo[str, int] = Memo()
    memo.put("a", 7)
    assert memo.get("a", lambda: 1) == 7
