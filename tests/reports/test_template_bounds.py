"""A user's template that never ends or makes gigabytes is an error that names it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_embedbench.reports import template_bounds
from pytest_embedbench.reports.cards.build import build_card
from pytest_embedbench.reports.cards.rendering import fill
from pytest_embedbench.reports.errors import CardError
from pytest_embedbench.reports.leaderboard.rendering import Pages
from tests.results.conftest import full_result

LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def page(folder: Path, template: str) -> str:
    path = folder / "card.j2"
    path.write_text(template)
    return fill(build_card([full_result()]), path)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        (LOOPS, "runs too long"),
        ("{% macro m(n) %}" + LOOPS + "{% endmacro %}\n{{ m(1) }}", "runs too long"),
        ("{% for a in range(99999) %}{{ 'x' * 9999 }}{% endfor %}", "a page of more than"),
        ("{{ 'x' * 999999999999 }}", "a text of more than"),
        ("{{ 999999999999 * 'x' }}", "a text of more than"),
        ("{{ [1] * 999999999999 }}", "a text of more than"),
        ("{{ 10 ** 999999999 }}", "a power above 64"),
    ],
)
def test_a_card_s_template_has_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, problem: str
) -> None:
    monkeypatch.setattr(template_bounds, "MAX_LINES", 50_000)
    tracing = sys.gettrace()
    with pytest.raises(CardError, match=problem) as caught:
        page(tmp_path, template)
    assert "card.j2" in str(caught.value)
    assert sys.gettrace() is tracing


def test_what_templates_do_otherwise_is_as_before(tmp_path: Path) -> None:
    assert (
        page(tmp_path, "{{ '-' * 3 }}{{ 2 ** 10 }}{{ 2 * 3 }}{{ 2.5 * 2 }}{{ (1, 2) | join(',') }}") == "---102465.01,2"
    )
    assert page(tmp_path, "{% include 'model_card.md.j2' %}").startswith("---")


def test_a_page_s_template_has_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_bounds, "MAX_LINES", 50_000)
    (tmp_path / "index.html.j2").write_text(LOOPS)
    with pytest.raises(CardError, match="runs too long") as caught:
        Pages(tmp_path).render("index.html")
    assert "index.html.j2" in str(caught.value)
