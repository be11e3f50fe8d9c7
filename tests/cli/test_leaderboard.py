"""``embedbench leaderboard`` over files of judgments."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from pytest_embedbench.cli import main
from pytest_embedbench.rating.files import read_judgments
from pytest_embedbench.rating.rate import rate
from pytest_embedbench.rating.ratings import Ratings

CSV = "dataset,query_id,model_a,model_b,outcome\n" + "".join(
    f"{dataset},q{query},{a},{b},{outcome}\n"
    for dataset in ("facts", "news")
    for query in range(4)
    for a, b, outcome in (
        ("x", "y", "a"),
        ("y", "z", "abtb"[query].replace("t", "tie")),
        ("z", "x", "b" if query else "a"),
    )
)
LINES = "".join(
    f'{{"dataset":"more","query_id":"1","model_a":"x","model_b":"w","outcome":"{outcome}"}}\n'
    for outcome in ("a", "tie")
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, with two files of judgments."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text(CSV, "utf-8")
    (tmp_path / "b.jsonl").write_text(LINES, "utf-8")
    return tmp_path


def leaderboard(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["leaderboard", *arguments])


def written(path: Path) -> Ratings:
    return msgspec.json.decode(path.read_bytes(), type=Ratings)


def test_ratings_json_is_what_rate_gives(folder: Path) -> None:
    done = leaderboard(
        "--judgments", "a.csv", "--out", "new/board", "--seed", "3", "--rounds", "50", "--confidence", "0.9"
    )
    assert done.exit_code == 0, done.output
    expected = rate(read_judgments([folder / "a.csv"]), seed=3, rounds=50, confidence=0.9)
    assert written(folder / "new/board/ratings.json") == expected
    data = json.loads((folder / "new/board/ratings.json").read_text("utf-8"))
    assert set(data["overall"][0]) == {"model", "elo", "lo", "hi", "rank_lo", "rank_hi", "wins", "losses", "ties"}
    assert sorted(data["by_dataset"]) == ["facts", "news"]
    assert data["by_dataset"]["facts"][0]["model"] == "x"
    assert {"method", "confidence", "rounds", "seed", "judgments", "queries", "notes", "position_bias"} <= set(data)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--judgments", "a.csv", "--judgments", "b.jsonl"),
        ("--judgments", "a.csv", "b.jsonl"),
        ("a.csv", "b.jsonl"),
        ("--judgments", "a.csv", "b.jsonl", "--exclude", "z"),
        ("--exclude", "z", "--judgments", "a.csv", "b.jsonl", "--out", "."),
    ],
    ids=" ".join,
)
def test_several_files_are_given_in_several_ways(folder: Path, arguments: tuple[str, ...]) -> None:
    done = leaderboard("--out", "out", *arguments)
    assert done.exit_code == 0, done.output
    ratings = written(folder / done.output.splitlines()[-1])
    models = {rating.model for rating in ratings.overall}
    assert models == ({"w", "x", "y"} if "z" in arguments else {"w", "x", "y", "z"})


@pytest.mark.parametrize("excluded", [("--exclude", "w,z"), ("--exclude", "z", "--exclude", " w ,")], ids=" ".join)
def test_models_are_excluded_by_repetition_or_commas(folder: Path, excluded: tuple[str, ...]) -> None:
    done = leaderboard("--judgments", "a.csv", "b.jsonl", *excluded)
    assert done.exit_code == 0, done.output
    ratings = written(folder / "leaderboard/ratings.json")
    assert ratings.excluded == ["w", "z"]
    assert {rating.model for rating in ratings.overall} == {"x", "y"}


def test_the_table_and_the_notes(folder: Path) -> None:
    done = leaderboard("--judgments", "a.csv", "b.jsonl", "--confidence", "0.9")
    ratings = written(folder / "leaderboard/ratings.json")
    head, _, first, *_ = done.output.splitlines()
    assert head.split("  ")[-1].strip() == "win rate"
    assert "90% interval" in head
    best = ratings.overall[0]
    assert best.model == "x"
    assert best.lo is not None
    assert best.hi is not None
    assert first.split() == [
        f"{best.rank_lo}-{best.rank_hi}" if best.rank_lo < best.rank_hi else "1",
        "x", f"{best.elo:.0f}", f"{best.lo:.0f}", "to", f"{best.hi:.0f}", "15-2-1", "83.3%",
    ]  # fmt: skip
    assert "note: more: one query shows nothing of how ratings vary, so there are no intervals\n" in done.output
    assert [line for line in done.output.splitlines() if line.startswith("note: ")] == [
        f"note: {n}" for n in ratings.notes
    ]


def test_online_elo_has_no_interval_to_show(folder: Path) -> None:
    done = leaderboard("a.csv", "--method", "elo")
    assert "none" in done.output.splitlines()[2].split()
    assert written(folder / "leaderboard/ratings.json").method == "elo"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "Error: nothing to rank: give folders of results, or judgments with --judgments FILE"),
        (("--judgments", "no.csv"), 2, "'no.csv' does not exist"),
        (("--judgments", "."), 2, "'.' is a directory"),
        (("a.csv", "--rounds", "0"), 2, "--rounds"),
        (("a.csv", "--confidence", "95"), 2, "--confidence"),
        (("a.csv", "--method", "trueskill"), 2, "--method"),
        (("a.csv", "--exclude", "xx"), 1, "Error: --exclude: no judgment is of a model 'xx'\n  fix: "),
        (("bad.csv",), 1, "Error: bad.csv:2: outcome: Invalid enum value 'won'\n  fix: write a if"),
        (("apart.csv",), 1, "never compared: p, q | x, y\n  fix: "),
        (("a.csv", "--out", "a.csv/x"), 1, "Error: a.csv/x/ratings.json: cannot be written: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_errors_are_one_message(folder: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    header = CSV.splitlines()[0]
    (folder / "bad.csv").write_text(f"{header}\nd,q,x,y,won\n", "utf-8")
    (folder / "apart.csv").write_text(f"{header}\nd,q,x,y,a\nd,q,p,q,a\n", "utf-8")
    done = leaderboard(*arguments)
    assert done.exit_code == code
    assert message in done.output
    assert not (folder / "leaderboard").exists()
    assert isinstance(done.exception, SystemExit)


def test_the_command_line_starts_without_numpy() -> None:
    code = (
        "import sys, pytest_embedbench.cli; print({'numpy', 'scipy', 'torch', 'tabulate', 'jinja2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
