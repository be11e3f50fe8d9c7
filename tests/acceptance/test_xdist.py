"""With pytest-xdist: the same verdicts, work done once, summaries by the controller, load profiles alone."""

from __future__ import annotations

import json
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("xdist")
pytest.importorskip("bm25s")

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

LOG = """
    import os, pathlib
    import pytest_embedbench.reports.cards.write as cards
    import pytest_embedbench.engine.evaluations as evaluations

    def logged(name, function):
        def call(*arguments, **keywords):
            with open("calls.txt", "a") as file:
                file.write(f"{name} {os.environ.get('PYTEST_XDIST_WORKER', 'controller')}\\n")
            return function(*arguments, **keywords)
        return call

    evaluations.evaluate = logged("evaluate", evaluations.evaluate)
    cards.write_cards = logged("cards", cards.write_cards)
"""

SUITE = """
    [embedbench]
    models = ["minilm", "bm25"]
    datasets = ["one", "two"]

    [[checks]]
    quality = ["recall@1 >= 0.75", "recall@1 > 0.75", "mrr@10 >= 0.8"]

    [[checks]]
    model = "minilm"
    profile = "b1 c2"
    budget = ["query mean <= 1000 s", "corpus throughput >= 1e12 tok/s"]
"""


def calls(project: Project) -> list[str]:
    """What was done, and by whom."""
    return (project.folder / "calls.txt").read_text("utf-8").splitlines()


def test_the_same_verdicts_and_files_as_without(project: Project) -> None:
    project.data("one")
    project.data("two")
    project.write("embedbench.toml", SUITE)
    alone = project.run("--embed-only", "--embed-results=alone", "--embed-card=alone-cards")
    project.write("conftest.py", LOG)
    spread = project.spawn("--embed-only", "-n", "2", "--junitxml=junit.xml")
    assert spread.ret == alone.ret == pytest.ExitCode.TESTS_FAILED
    assert spread.parseoutcomes() == alone.parseoutcomes()

    def verdicts(result: pytest.RunResult) -> list[tuple[str, ...]]:
        return sorted(
            (row["model"], row["dataset"], row["check"], row["limit"], row["verdict"],
             "" if row["check"].startswith("b1") else row["measured"])
            for row in project.table(result)
        )  # fmt: skip

    assert len(verdicts(spread)) == 16
    assert verdicts(spread) == verdicts(alone)
    pairs = [(row["model"], row["dataset"]) for row in project.table(spread)]
    assert sum(before != after for before, after in pairwise(pairs)) == 3, "pair by pair"
    assert spread.stdout.str().count("= embedbench =") == 1

    done = [call.split() for call in calls(project)]
    assert sorted(name for name, _ in done) == ["cards"] + ["evaluate"] * 4, "each pair is evaluated once"
    assert ["cards", "controller"] in done
    assert all(who.startswith("gw") for name, who in done if name == "evaluate")

    for data in ("one", "two"):
        for model in ("*MiniLM*", "*bm25"):
            mine = project.result_path(data, model=model)
            theirs = project.result_path(data, model=model, below=project.folder / "alone")
            for suffix in (".run.trec", ".per-query.jsonl"):
                assert mine.with_suffix(suffix).read_text("utf-8") == theirs.with_suffix(suffix).read_text("utf-8")
    assert len(list((project.folder / "embedbench-out" / "cards").glob("*.md"))) == 2
    assert 'name="embedbench_measured"' in (project.folder / "junit.xml").read_text("utf-8")


def test_a_spread_pair_is_still_evaluated_once(project: Project) -> None:
    project.data()
    measures = json.dumps([f"recall@{k}" for k in range(1, 13)])
    project.write("embedbench.toml", f"[embedbench]\nmodels = ['bm25']\ndatasets = ['facts']\nmetrics = {measures}\n")
    project.write("conftest.py", LOG)
    project.write("test_ordinary.py", "def test_ordinary():\n    pass\n")
    result = project.spawn("-n", "2", "--dist=load")
    result.assert_outcomes(passed=13)
    assert sum(call.startswith("evaluate") for call in calls(project)) == 1
    assert "reused" not in project.text(result)
    assert "reused" in project.text(project.spawn("-n", "2"))


def test_a_load_profile_runs_alone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    locks = project.folder / "locks"
    locks.mkdir()
    monkeypatch.setenv("TMPDIR", str(locks))
    project.suite("recall@1 >= 0.1")
    project.write(
        "test_times.py",
        """
        import json, time
        import pytest

        def work(kind):
            start = time.monotonic()
            time.sleep(0.2)
            with open("times.txt", "a") as file:
                file.write(json.dumps([kind, start, time.monotonic()]) + "\\n")

        @pytest.mark.parametrize("number", range(9))
        def test_plain(number):
            work("plain")

        @pytest.mark.parametrize("number", range(5))
        def test_profile(embed_profile, number):
            work("profile")
        """,
    )
    project.spawn("-n", "3", "--dist=load", "test_times.py").assert_outcomes(passed=14)
    lines = (project.folder / "times.txt").read_text("utf-8").splitlines()
    times = [json.loads(line) for line in lines]
    together = [
        {first[0], second[0]}
        for first, second in combinations(times, 2)
        if first[1] < second[2] and second[1] < first[2]
    ]
    assert len(times) == 14
    assert {"plain"} in together, "other items do run side by side"
    assert [kinds for kinds in together if "profile" in kinds] == []
    assert list(locks.glob("embedbench-*")) == [], "no lock file is left"


WATCHED = """
    # What of one process may be seen to overlap with what of another: each waits a while for one of the other kind.
    import contextlib, json, os, pathlib, time
    import pytest_embedbench.machine.device_lock as device_lock
    import pytest_embedbench.engine.profiles as profiles
    import pytest_embedbench.engine.evaluations as evaluations

    FOLDER = pathlib.Path(os.environ["WATCHED"])

    def watched(kind, function):
        other = FOLDER / ("load.begun" if kind == "evaluation" else "evaluation.begun")

        def call(bench, pair, *arguments):
            if kind == "evaluation" and pair.dataset.alias == "timed":  # comes before its pair's load in any case
                return function(bench, pair, *arguments)
            begun = time.monotonic()
            (FOLDER / f"{kind}.begun").touch()
            done = function(bench, pair, *arguments)
            while not other.exists() and time.monotonic() < begun + float(os.environ["PATIENCE"]):
                time.sleep(0.01)
            with (FOLDER / "spans.txt").open("a") as file:
                file.write(json.dumps([os.getpid(), kind, begun, time.monotonic()]) + "\\n")
            return done

        return call

    for owner, name, kind in (
        (evaluations.Evaluator, "evaluate", "evaluation"),
        (profiles.Profiler, "profile", "load"),
        (profiles.Profiler, "slowdown", "load"),
    ):
        setattr(owner, name, watched(kind, getattr(owner, name)))

    if os.environ["LOCK"] == "without":
        device_lock.hold_lock = lambda name, *, alone, what: contextlib.nullcontext()
"""

LOADS = {
    "profile": "[[checks]]\nprofile = 'b1 c1'\nbudget = ['query mean <= 1000 s']\n",
    "slowdown": "[regression]\nspeed_against = 'minilm'\nprofile = 'b1 c1'\nmax_slowdown = 1000\n",
}


@pytest.mark.parametrize("lock", ["with", "without"])
@pytest.mark.parametrize("load", ["profile", "slowdown"])
def test_nothing_runs_beside_a_latency_item(
    project: Project, monkeypatch: pytest.MonkeyPatch, load: str, lock: str
) -> None:
    """Of two workers one measures a load while the other one evaluates; without the lock they surely meet."""
    locks = project.folder / "locks"
    locks.mkdir()
    patience = "1" if lock == "with" else "60"
    for name, value in {
        "TMPDIR": str(locks),
        "WATCHED": str(project.folder),
        "LOCK": lock,
        "PATIENCE": patience,
    }.items():
        monkeypatch.setenv(name, value)
    project.data("timed")
    project.data("ranked")
    project.write("conftest.py", WATCHED)
    head = "[embedbench]\nmodels = ['minilm@dim=128']\ndatasets = ['timed', 'ranked']\n"
    quality = "[[checks]]\nquality = ['recall@1 >= 0.1']\n"
    project.write("embedbench.toml", head + quality + LOADS[load])
    options = "--embed-only", "--embed-profile-seconds=0.2"
    assert project.spawn("-n", "2", *options).ret == 0
    spans = [json.loads(line) for line in (project.folder / "spans.txt").read_text("utf-8").splitlines()]
    assert len({process for process, *_ in spans}) == 2
    assert {kind for _, kind, *_ in spans} == {"load", "evaluation"}
    met = {
        frozenset({one[1], other[1]})
        for one, other in combinations(spans, 2)
        if one[0] != other[0] and one[2] < other[3] and other[2] < one[3]
    }
    assert met == set() if lock == "with" else {"load", "evaluation"} in met
