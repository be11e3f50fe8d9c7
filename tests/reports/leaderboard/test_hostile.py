"""Names and texts from outside stay words in Markdown; in HTML test_browser.py sees to it too."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.rating.judgments import Judgment
from pytest_embedbench.reports.leaderboard import build_leaderboard, write_leaderboard
from pytest_embedbench.reports.text import collapse, literal

markdown = pytest.importorskip("markdown_it", reason="needs markdown-it-py, which the extra docs brings")

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "[click](javascript:alert(1))",
    "a | b ` c\n# d",
    "\ud800\x00\u202eend",
    "{{ 7 * 7 }}{% raw %}",
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain words, my_model-v1.5 (large)", "plain words, my_model-v1.5 (large)"),
        ("a|b`c\nd", r"a\|b\`c d"),
        ("<b>&amp;", r"\<b\>\&amp;"),
        ("![x](y)", r"\!\[x\](y)"),
        ("# head", r"\# head"),
        ("- item", r"\- item"),
        ("1. first", r"1\. first"),
        ("_so_ *or* ~so~", r"\_so\_ \*or\* \~so\~"),
        ("$x$", r"\$x\$"),
        ("\\", "\\\\"),
    ],
)
def test_literal(text: str, line: str) -> None:
    assert literal(text) == line


@given(st.text(st.sampled_from("ab 1.)#-+=*_`~[](){}<>|&!$\\:/\"'\n\u2028é;"), max_size=30) | st.text(max_size=30))
def test_markdown_shows_literal_text_as_it_is(text: str) -> None:
    reader = markdown.MarkdownIt("commonmark").enable("table")
    cell = reader.render(f"| x |\n|---|\n| {literal(text)} |\n")
    shown = re.search(r"<td>(.*)</td>", cell, re.DOTALL)
    assert html.unescape(shown[1] if shown else "") == collapse(text)
    paragraph = re.fullmatch(r"<p>(.*)</p>\n|", reader.render(literal(text)), re.DOTALL)
    assert paragraph
    assert html.unescape(paragraph[1] or "") == collapse(text)


def test_hostile_names_make_no_elements_in_markdown(tmp_path: Path) -> None:
    judgments = [
        Judgment(dataset=HOSTILE[0], query_id=HOSTILE[1], model_a=a, model_b=b, outcome="a", judge=a, top_a=(b,))
        for a in HOSTILE
        for b in HOSTILE
        if a < b
    ]
    reader = markdown.MarkdownIt("commonmark", {"html": True}).enable("table")
    for path in write_leaderboard(build_leaderboard([], None, judgments), tmp_path):
        if path.suffix == ".md":
            page = reader.render(path.read_text(encoding="utf-8"))
            tags = set(re.findall(r"<(/?\w+)", page))
            assert tags <= {
                f"{end}{tag}"
                for tag in ("h1", "h2", "h3", "p", "a", "ul", "li", "table", "thead", "tbody", "tr", "th", "td")
                for end in ("", "/")
            }
            assert all(not link.startswith("javascript") for link in re.findall(r'href="([^"]*)"', page))
