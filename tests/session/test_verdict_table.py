"""The table of verdicts at any width: no wider than the terminal where words allow it, and no word is broken."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.session.verdict_table import lay_out

HEADERS = ("model", "dataset", "check", "measured", "limit", "verdict")
ROWS = [
    ["minilm", "", "conformance", "11 passed, 2 skipped", "", "pass"],
    ["minilm", "builtin", "ndcg@10", "0.6213", ">= 0.6", "FAIL"],
    ["minilm", "builtin", "b1 c16 query p50", "12.3 ms", "<= 160 ms", "skip: binds on NVIDIA L4; this is Intel Xeon"],
    ["minilm", "builtin", "b1 c16", "query p50 12.3 ms, corpus 5,000 tok/s", "", "-"],
]


@pytest.mark.parametrize("width", [200, 136, 120, 100, 80, 72])
def test_it_is_as_wide_as_the_terminal(width: int) -> None:
    lines = lay_out(HEADERS, ROWS, width)
    assert max(map(len, lines)) <= width
    words = [word for row in ROWS for cell in row for word in cell.split()]
    assert sorted(" ".join(lines[2:]).split()) == sorted(words) or " on " in "".join(lines)


def test_with_room_for_all_each_row_is_a_line() -> None:
    lines = lay_out(HEADERS, ROWS[:2], 80)
    assert lines == [
        "model   dataset  check        measured              limit   verdict",
        "------  -------  -----------  --------------------  ------  -------",
        "minilm           conformance  11 passed, 2 skipped          pass",
        "minilm  builtin  ndcg@10      0.6213                >= 0.6  FAIL",
    ]


def test_numbers_stay_with_their_units_and_limits_with_their_signs() -> None:
    for width in range(40, 140):
        text = "\n".join(lay_out(HEADERS, ROWS, width))
        for kept in ("12.3 ms", "5,000 tok/s", ">= 0.6", "<= 160 ms", "11 passed"):
            assert kept in text, width


def test_the_pair_is_a_heading_where_columns_do_not_fit() -> None:
    name = "an-organization/a-model-with-a-long-name@dim=128"
    rows = [[name, "a-collection-of-tickets", *row[2:]] for row in ROWS[1:]]
    lines = lay_out(HEADERS, rows, 80)
    assert lines.count(f"{name} on a-collection-of-tickets") == 1
    assert max(map(len, lines)) <= 80
    assert any(re.fullmatch(r"  ndcg@10 +0\.6213 +>= 0\.6 +FAIL", line) for line in lines)


def test_only_the_verdict_is_painted_and_widths_are_those_of_the_text() -> None:
    plain = lay_out(HEADERS, ROWS, 80)
    painted = lay_out(HEADERS, ROWS, 80, lambda cell: f"\x1b[32m{cell}\x1b[0m" if cell else cell)
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in painted] == plain
    assert sum("\x1b[32m" in line for line in painted) == len(ROWS)


words = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=30)
cells = st.lists(words, max_size=6).map(" ".join)


@given(rows=st.lists(st.tuples(*[cells] * 6), min_size=1, max_size=5), width=st.integers(20, 200))
def test_no_word_is_lost_or_broken(rows: list[tuple[str, ...]], width: int) -> None:
    lines = lay_out(HEADERS, rows, width)
    shown = set(" ".join(lines).split())
    assert {word for row in rows for cell in row for word in cell.split()} <= shown
