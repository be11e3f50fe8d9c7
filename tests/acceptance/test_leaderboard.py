"""``--embed-leaderboard`` and ``embedbench leaderboard RESULTS``: from a run to ratings and pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from pytest_embedbench.cli import main

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

COMPETITORS = ("--embed-model=minilm", "--embed-model=minilm@dim=4", "--embed-model=bm25", "--embed-dataset=facts")


def ratings(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "ratings.json").read_text("utf-8")))


def records(folder: Path) -> dict[str, tuple[int, int, int]]:
    return {one["model"]: (one["wins"], one["losses"], one["ties"]) for one in ratings(folder)["overall"]}


def test_a_run_ranks_its_own_models(project: Project) -> None:
    project.data()
    result = project.run(*COMPETITORS, "--embed-leaderboard=board")
    assert result.ret == 0, project.text(result)
    assert "leaderboard: board/index.html" in project.text(result)
    board = project.folder / "board"
    judged = [json.loads(line) for line in (board / "judgments.jsonl").read_text("utf-8").splitlines()]
    assert len(judged) == 3 * 4, "three pairs of models, four queries"
    for one in judged:
        a, b = one["values"]
        assert one["outcome"] == ("tie" if a == b else "a" if a > b else "b")
    won, lost, tied = (sum(record[place] for record in records(board).values()) for place in range(3))
    assert won == lost
    assert tied == 2 * sum(one["outcome"] == "tie" for one in judged)
    page = (board / "models" / "minilm.html").read_text("utf-8")
    assert "Performance record" in page
    compare = next(board.glob("compare/*minilm@dim=4*.html")).read_text("utf-8")
    assert "how does a volcano erupt" in compare, "the run's own data give the texts"


def test_it_is_made_of_this_run_only(project: Project) -> None:
    project.data()
    project.run(*COMPETITORS)
    project.run("--embed-model=minilm", "--embed-model=bm25", "--embed-dataset=facts", "--embed-leaderboard=board")
    assert set(records(project.folder / "board")) == {"minilm", "bm25"}


def test_stored_results_give_the_same_ratings(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.data()
    project.run(*COMPETITORS, "--embed-leaderboard=board")
    monkeypatch.chdir(project.folder)
    done = CliRunner().invoke(main, ["leaderboard", "embedbench-out/results", "--out", "again"])
    assert done.exit_code == 0, done.output
    assert ratings(project.folder / "again") == ratings(project.folder / "board")
    compare = next((project.folder / "again").glob("compare/*bm25.html")).read_text("utf-8")
    assert "how does a volcano erupt" not in compare, "no data were named"
    done = CliRunner().invoke(
        main, ["leaderboard", "embedbench-out/results", "--data", "facts", "--queries", "2", "--out", "sample"]
    )
    assert done.exit_code == 0, done.output
    assert ratings(project.folder / "sample")["queries"] == 2
    rated = "again/judgments.jsonl"
    done = CliRunner().invoke(main, ["leaderboard", "embedbench-out/results", rated, "--exclude=bm25", "--out=less"])
    assert done.exit_code == 0, done.output
    assert set(records(project.folder / "less")) == {"minilm", "minilm@dim=4"}
    assert not (project.folder / "less" / "models" / "bm25.html").exists()


def test_workers_results_are_ranked_together(project: Project) -> None:
    pytest.importorskip("xdist")
    project.data()
    result = project.spawn(*COMPETITORS, "--embed-leaderboard=board", "-n2")
    assert result.ret == 0, project.text(result)
    assert set(records(project.folder / "board")) == {"minilm", "minilm@dim=4", "bm25"}


def test_without_relevance_judgments_the_pages_have_no_ratings(project: Project) -> None:
    project.data(qrels=None)
    result = project.run(*COMPETITORS, "--embed-leaderboard=board")
    assert result.ret == 0, project.text(result)
    assert "leaderboard: not rated: no two models have scores on the same queries" in project.text(result)
    assert not (project.folder / "board" / "ratings.json").exists()
    page = (project.folder / "board" / "index.md").read_text("utf-8")
    assert "minilm@dim=4" in page
    assert "0.000" not in page, "what is not there is absent, not zero"
    run = next((project.folder / "embedbench-out/results").rglob("facts.run.trec")).read_text("utf-8")
    assert run.startswith("q1 Q0 volcano 1 "), "an unjudged collection is ranked, so that others can judge"


def test_a_leaderboard_that_cannot_be_written_hides_no_results(project: Project) -> None:
    project.data()
    (project.folder / "board").write_text("a file in the way", "utf-8")
    result = project.run(*COMPETITORS, "--embed-leaderboard=board")
    assert result.ret == 0
    assert "leaderboard: not written: " in project.text(result)
    assert project.table(result)
