"""Texts from outside stay in their place."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_embedbench.reports.text import item, link_text, link_url, one_line, yaml_value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain words", "plain words"),
        ("  two\n\nlines\tand\x00more\u2028 ", "two lines and more"),
        ("## Benchmarks", r"\## Benchmarks"),
        ("- item", r"\- item"),
        ("---", r"\---"),
        ("```", r"\```"),
        ("1. first", r"1\. first"),
        ("1.5 times", "1.5 times"),
        ("| a |", r"\| a |"),
        ("![plot](x)", r"\![plot](x)"),
        ("[Reference](x)", r"\[Reference](x)"),
        ("**Quality:** map: 1", r"\**Quality:** map: 1"),
        ("Corpus: 5", r"Corpus\: 5"),
        ("a <!-- b", r"a \<!-- b"),
        ("a < b", "a < b"),
        ("safe\u202eevil", "safeevil"),
        ("half \ud800", "half \ufffd"),
        (" \n ", ""),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


@pytest.mark.parametrize(("text", "cell"), [("a | b", r"a \| b"), (r"a \| b", r"a \| b"), ("a\n|", r"a \|")])
def test_cell(text: str, cell: str) -> None:
    assert one_line(text, cell=True) == cell


@given(st.text(st.characters()), st.booleans())
def test_one_line_is_one_line_and_settled(text: str, cell: bool) -> None:
    line = one_line(text, cell=cell)
    assert not any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in line)
    assert line == line.strip()
    assert one_line(line, cell=cell) == line
    line.encode()


def test_item() -> None:
    assert item("a · b\nc") == "a &middot; b c"


def test_link() -> None:
    assert link_text("a](x)[b") == r"a\](x)\[b"
    assert link_text("a\\") == "a\\\\"
    assert link_url("https://example.org/a (b)?q=%20") == "https://example.org/a%20%28b%29?q=%20"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "", "//example.org", "file:///etc"])
def test_no_link(url: str) -> None:
    with pytest.raises(ValueError, match="expected an http or https address"):
        link_url(url)


@settings(deadline=None)  # the first example imports PyYAML
@given(st.text(st.characters(exclude_categories=["C"])))
def test_yaml_reads_the_same_text(text: str) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML reads the front matter back")
    read = yaml.load(f"key: {yaml_value(text)}\n", Loader=yaml.BaseLoader)  # texts only, no objects
    assert read == {"key": " ".join(text.split())}
