"""The progress bar: there while a person watches, wiped when done, and never in the way of pytest's own output."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

SLOW = """
    import time
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel

    forward = SentenceTransformerModel.forward

    def slow(self, batch, role):
        time.sleep(0.1)
        return forward(self, batch, role)

    SentenceTransformerModel.forward = slow
"""
DOC_WORDS = "volcano whale bread castle violin tea surface molten starter moat string leaf"
BAR = re.compile(r"(query|document)( load)?:\s+\d+%\|")


def terminal(project: Project, *arguments: str) -> str:
    """Run pytest with the plugin ``slow`` in a terminal; every byte that it wrote there."""
    return project.run_in_terminal("-p", "slow", *arguments)


def screen(written: str) -> list[str]:
    """The lines that stand on a terminal in the end: carriage returns, erasing, cursor up, colours dropped."""
    lines, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", written):
        if piece == "\r":
            column = 0
        elif piece == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif piece == "\x1b[A":
            row = max(0, row - 1)
        elif piece.startswith("\x1b[") and piece.endswith("C"):
            column += int(piece[2:-1])
        elif piece in {"\x1b[K", "\x1b[0K"}:
            lines[row] = lines[row][:column]
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif piece.startswith("\x1b["):
            assert piece.endswith(("m", "h", "l")), f"unknown control {piece!r}"
        else:
            before = lines[row].ljust(column)
            lines[row] = before[:column] + piece + before[column + len(piece) :]
            column += len(piece)
    return [line.rstrip() for line in lines]


@pytest.fixture
def long(project: Project) -> Project:
    """Return a project whose encoding takes long enough for a bar to move."""
    words = DOC_WORDS.split()
    docs = {f"d{n}": " ".join(words[(n * k) % 12] for k in range(1, 40)) + f" {n}" for n in range(100)}
    project.suite("recall@1 >= 0", "ndcg@10 >= 0.99")
    project.data(docs=docs, qrels={"q1": {"d1": 1}})
    project.write("slow.py", SLOW)
    project.write("test_ordinary.py", "def test_before():\n    pass\n\ndef test_after():\n    pass\n")
    return project


def test_the_screen_in_the_end_is_whole(long: Project) -> None:
    written = terminal(long, "--embed-batch-tokens=512")
    assert BAR.search(written), "a bar was there"
    done = r"[1-9]\d* of 100 texts"
    assert re.search(
        rf"document:\s+[1-9]\d?%\|.*?[\d.]+k?/[\d.]+k \[\d+:\d+<\d+:\d+, +[\d.]+k?tok/s, {done}\]", written
    )
    lines = screen(written)
    shown = "\n".join(lines)
    assert not BAR.search(shown), "and is wiped"
    assert "tok/s" not in shown
    assert "it/s" not in shown
    assert sum(bool(re.fullmatch(r"embedbench\.toml \.F +\[ 50%\]", line)) for line in lines) == 1
    assert sum(bool(re.fullmatch(r"test_ordinary\.py \.\. +\[100%\]", line)) for line in lines) == 1
    assert [line for line in lines if re.search(r"=+ 1 failed, 3 passed in .* =+", line)], shown
    assert [line for line in lines if re.fullmatch(r"minilm +facts +recall@1 +0\.\d+ +>= 0 +pass", line)]


@pytest.mark.parametrize("width", [200, 60])
def test_verbose_lines_stay_whole(long: Project, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    written = terminal(long, "-v", "-s", "--embed-profile=b1 c2", "--embed-profile-seconds=1")
    lines = screen(written)
    shown = "\n".join(lines)
    assert BAR.search(written)
    assert not BAR.search(shown)
    for name, outcome in (
        ("embedbench.toml::minilm::facts::quality[recall@1]", "PASSED"),
        ("embedbench.toml::minilm::facts::quality[ndcg@10]", "FAILED"),
        ("embedbench.toml::minilm::facts::budget[b1-c2]", "PASSED"),
        ("test_ordinary.py::test_before", "PASSED"),
    ):
        assert lines.count(f"{name} {outcome}") == 1, shown
        assert name not in lines, "no line is broken in two"


@pytest.mark.parametrize("arguments", [("-v",), ("-v", "-s", "--embed-fresh")], ids=["captured", "not captured"])
def test_no_bar_where_nobody_watches(long: Project, arguments: tuple[str, ...]) -> None:
    text = long.text(long.run(*arguments))
    assert not BAR.search(text)
    for sign in ("\r", "\x1b", "%|", "it/s"):
        assert sign not in text


def test_no_bar_when_quiet(long: Project) -> None:
    written = terminal(long, "-q")
    assert not BAR.search(written)
    assert screen(written)[0].startswith(".F..")


def test_failing_fast_shows_the_falling_bound(project: Project) -> None:
    docs = {f"d{number:03}": f"part {number} of a long story" for number in range(120)}
    qrels = {"q": {"d007": 1}, "r": {"d011": 1}}
    project.data(docs=docs, queries={"q": "an unrelated question", "r": "another one"}, qrels=qrels)
    project.write("slow.py", SLOW)
    project.write("limit.toml", "[embedbench]\n[[checks]]\nquality = ['ndcg@10 >= 0.0001']\n")
    written = terminal(
        project, "--embed-model=minilm", "--embed-dataset=facts", "--embed-suite=limit.toml", "--embed-fail-fast"
    )
    shown = [float(bound) for bound in re.findall(r"ndcg@10 <= (\d\.\d{4}) after \d+% of the corpus:", written)]
    assert len(shown) > 1
    assert shown == sorted(shown, reverse=True), "it only falls"


def test_a_search_for_the_highest_rate_shows_the_rate_that_it_tries(project: Project) -> None:
    project.suite(more="[[checks]]\nprofile = 'b1 c1'\nbudget = ['max rate >= 0.001 /s at p99 <= 100 ms']\n")
    project.write("slow.py", "")  # as fast as it is
    written = terminal(project, "-v", "-k", "budget", "--embed-profile-seconds=0.1")
    bar = re.compile(r"query at [\d.]+(?:e\+\d+)?/s load:\s+(\d+)%\|[^\r]*text/s")
    assert bar.search(written)
    assert not bar.search("\n".join(screen(written))), "it is wiped when the rate has been tried"
