"""Pages of models have files of their own, whatever their names, and keep them when ranks change."""

from __future__ import annotations

from itertools import permutations

from pytest_embedbench.reports.leaderboard.names import model_pages

NAMES = ("org/x", "org__x", "Org/X", "set 1", "x" * 300, "x" * 300 + "y")


def test_pages_are_distinct_and_do_not_depend_on_ranks() -> None:
    boards = [model_pages(names) for names in permutations(NAMES, 6)]
    pages = boards[0]
    assert len({page.casefold() for page in pages.values()}) == len(NAMES)
    assert all(len(page.encode()) <= 110 for page in pages.values())
    assert all(board == pages for board in boards)
    assert list(boards[-1]) == list(reversed(NAMES)), "in the order of the ranks"
