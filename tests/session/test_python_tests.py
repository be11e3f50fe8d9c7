"""Failed comparisons of scores are explained, and the plugin knows where scores are."""

from __future__ import annotations

import sys

import pytest

from pytest_embedbench import plugin
from pytest_embedbench.session.python_tests import Score


def score(value: float) -> Score:
    return Score(value, "ndcg@10", lambda: ["worst: q1"])


def test_the_plugin_names_the_module_of_scores() -> None:
    assert Score.__module__ == plugin.SCORES_MODULE


@pytest.mark.parametrize(
    ("op", "left", "right", "first_line"),
    [
        (">=", score(0.25), 0.3, "ndcg@10 0.2500 >= 0.3"),
        ("<", 0.3, score(0.25), "ndcg@10 0.2500 > 0.3"),
        ("==", 0.3, score(0.25), "ndcg@10 0.2500 == 0.3"),
        (">", score(0.25), score(0.5), "ndcg@10 0.2500 > 0.5000"),
    ],
)
def test_a_failed_comparison_is_explained(op: str, left: object, right: object, first_line: str) -> None:
    assert plugin.pytest_assertrepr_compare(op, left, right) == [first_line, "worst: q1"]


def test_other_comparisons_are_pytests(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plugin.pytest_assertrepr_compare("==", 0.1, 0.2) is None
    monkeypatch.delitem(sys.modules, plugin.SCORES_MODULE)
    assert plugin.pytest_assertrepr_compare("==", 0.1, 0.2) is None
