"""The table of verdicts in a terminal of any width, in pytest's colours, and the count of budgets for other hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

ELSEWHERE = """
[[checks]]
profile = "b1 c1"
hardware = "a machine of another planet"
budget = ["query mean <= 1 s", "corpus mean <= 1 s"]
"""


@pytest.mark.parametrize("width", [80, 100, 200])
def test_it_fits_the_terminal(project: Project, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    project.suite("recall@1 >= 0.9", "ndcg@10 >= 0.1", more=ELSEWHERE)
    result = project.run("--embed-profile-seconds=0.1", "--color=yes")
    lines = result.stdout.lines
    start = next(number for number, line in enumerate(lines) if line.startswith("model ") and "verdict" in line)
    table = lines[start : lines.index("", start)]
    plain = [line.replace("\x1b[31m", "").replace("\x1b[32m", "").replace("\x1b[33m", "") for line in table]
    plain = [line.replace("\x1b[0m", "") for line in plain]
    assert max(map(len, plain)) <= width
    for verdict in ("\x1b[32mpass\x1b[0m", "\x1b[31mFAIL\x1b[0m", "\x1b[33mskip\x1b[0m:"):
        assert any(verdict in line for line in table), verdict
    assert "binds on a machine of another planet; this is" in " ".join(" ".join(plain).split()) or width == 80
    assert lines[-4:].count("2 budgets not judged here: they bind on a machine of another planet") == 1


def test_no_colours_where_pytest_uses_none(project: Project) -> None:
    project.suite("recall@1 >= 0.9")
    assert "\x1b" not in project.text(project.run("--color=no"))
