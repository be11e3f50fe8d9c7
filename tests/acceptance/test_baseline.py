"""A baseline: written on request, compared with later; what is worse is caught where it is significant."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Project

FILE = "embedbench-baseline.json"
TOPICS = (
    "Volcanoes", "Whales", "Sourdough", "Castles", "Violins", "Tea", "Bicycles", "Chess", "Penguins", "Telescopes",
    "Tulips", "Glaciers",
)  # fmt: skip
ABOUT = "and how people came to know, to study and at last to understand them, told in plain words"
LATE = "In this long text, which has a slow start, one comes at its very end upon"


def words(project: Project, *, late: int = len(TOPICS), count: int = len(TOPICS), name: str = "words") -> None:
    """Write a dataset in which so many documents name their topic last, where a short length cap cuts it off."""
    topics = TOPICS[:count]
    docs = {
        topic.lower(): f"{LATE} {topic.lower()}" if number < late else f"{topic} {ABOUT}"
        for number, topic in enumerate(topics)
    }
    queries = {f"q-{topic.lower()}": topic.lower() for topic in topics}
    project.data(name, docs=docs, queries=queries, qrels={query: {topic: 1} for query, topic in queries.items()})


def suite(project: Project, *, cut: int | None = None, more: str = "", data: str = '"words"') -> None:
    """Write a suite with a model of our own; ``cut`` breaks it, for then it reads only so many tokens."""
    if not (project.folder / "mine").exists():
        project.model("mine")
    cap = f"max_seq_length = {cut}\n" if cut else ""
    project.write(
        "embedbench.toml",
        f'[embedbench]\nmodels = ["mine"]\ndatasets = [{data}]\n{more}\n[models.mine]\npath = "mine"\n{cap}',
    )


def updated(project: Project, *arguments: str) -> pytest.RunResult:
    result = project.run("--embed-update-baseline", *arguments)
    assert result.ret == 0, project.text(result)
    return result


def stored(project: Project, name: str = FILE) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((project.folder / name).read_text("utf-8"))
    return data


def regressions(project: Project, result: pytest.RunResult) -> list[dict[str, str]]:
    return [row for row in project.table(result) if row["check"].startswith("regression")]


def git(project: Project, *arguments: str) -> None:
    command = ["git", "-c", "user.name=n", "-c", "user.email=e@e", *arguments]
    subprocess.run(command, cwd=project.folder, check=True, capture_output=True)


@pytest.fixture
def kept(project: Project) -> Project:
    """Return a project with a suite and a baseline."""
    words(project)
    suite(project)
    updated(project)
    return project


def test_a_broken_model_is_caught_without_any_threshold(
    project: Project, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDBENCH_CACHE", str(shared_cache))
    healthy = '[embedbench]\nmodels = ["mine"]\n[models.mine]\npath = "mine"\n'
    project.write("embedbench.toml", healthy)
    folder = project.model("mine")
    updated(project)
    pooling = folder / "1_Pooling" / "config.json"
    config = json.loads(pooling.read_text("utf-8"))
    config |= {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
    if "pooling_mode" in config:
        config["pooling_mode"] = "cls"
    pooling.write_text(json.dumps(config), "utf-8")
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    assert "mine on builtin: regression[ndcg@10]" in project.text(result)
    result.stdout.fnmatch_lines(
        [
            f"ndcg@10 fell by 0.08* from 0.6* in {FILE} to 0.5* (95% interval of the drop 0.0* to 0.1*), more than *",
            "changed since then: model files, pooling mean -> cls",
            "queries that lost most:",
            "  -0.*  *-q*  '*' (* -> *)",
            "           ranked first: *-*, was *-*; relevant *-*: rank * -> rank *",
        ]
    )
    assert "more than max_drop 0.005; significant: p = 0.0001, level 0.05\n" in project.text(result)
    assert sum(line.startswith("           ranked first: ") for line in result.outlines) == 10
    assert "Traceback" not in project.text(result)
    (row,) = regressions(project, result)
    assert row["limit"] == "drop <= 0.005"
    assert row["verdict"] == "FAIL"


def test_the_file_is_small_and_stable(kept: Project) -> None:
    text = (kept.folder / FILE).read_text("utf-8")
    assert text.count("\n") < 60
    assert '        "q-bicycles": [[1.0],"bicycles","bicycles",1],\n' in text
    (entry,) = stored(kept)["pairs"]
    assert list(entry["queries"]) == sorted(entry["queries"])
    assert entry["means"] == {"ndcg@10": 1.0}
    assert entry["environment"]["dtype"] == "fp32"
    assert "torch" in entry["environment"]
    assert set(entry["fingerprints"]) == {"model", "dataset"}
    stamp = (kept.folder / FILE).stat().st_mtime_ns
    result = updated(kept, "--embed-fresh")
    assert "baseline: mine on words: ndcg@10 1.0000 as before" in result.outlines
    assert (kept.folder / FILE).stat().st_mtime_ns == stamp, "nothing changed, so nothing was written"


def test_an_unchanged_model_passes(kept: Project) -> None:
    result = kept.run("--embed-fresh")
    result.assert_outcomes(passed=2)
    (row,) = regressions(kept, result)
    assert (row["measured"], row["verdict"]) == ("1.0000 (+0.0000)", "pass")
    assert f"mine on words: ndcg@10 is 1.0000, for every query what it was in {FILE}" in result.outlines


def test_a_large_drop_that_is_significant_fails(kept: Project) -> None:
    suite(kept, cut=3)
    result = kept.run()
    result.assert_outcomes(passed=1, failed=1)
    assert "changed since then: max tokens 256 -> 3" in result.outlines


def test_a_drop_of_two_queries_is_not_significant_and_says_what_would_be(project: Project) -> None:
    words(project, late=2)
    suite(project)
    updated(project)
    suite(project, cut=3)
    result = project.run()
    result.assert_outcomes(passed=2)
    line = next(line for line in result.outlines if line.startswith("mine on words: ndcg@10 fell"))
    assert "more than max_drop 0.005; not significant: p = " in line
    assert "12 queries detect a drop of 0." in line
    assert "too few to detect max_drop 0.005: that takes about " in line
    assert regressions(project, result)[0]["verdict"] == "pass"


def test_an_improvement_is_reported(project: Project) -> None:
    words(project)
    suite(project, cut=3)
    updated(project)
    suite(project)
    result = project.run()
    result.assert_outcomes(passed=2)
    line = next(line for line in result.outlines if line.startswith("mine on words: ndcg@10"))
    assert "ndcg@10 improved: it rose by 0." in line
    assert "; significant: p = " in line


def test_four_queries_cannot_show_anything(project: Project) -> None:
    words(project, count=4)
    suite(project)
    updated(project)
    suite(project, cut=3)
    result = project.run()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["mine on words: ndcg@10 fell by *; 4 queries are too few to detect any drop: *"])


def test_other_data_is_an_error_and_no_comparison(kept: Project) -> None:
    words(kept, late=3)
    result = kept.run()
    result.assert_outcomes(passed=1, failed=1)
    before = stored(kept)["pairs"][0]["fingerprints"]["dataset"]
    result.stdout.fnmatch_lines(
        [
            f"mine on words: the data is not that of {FILE}, so scores cannot be*: its fingerprint is *, was {before[:16]}",
            "  fix: restore it, or measure anew with pytest --embed-update-baseline",
        ]
    )
    assert [row["verdict"] for row in regressions(kept, result)] == ["FAIL"]
    assert "other data than before" in kept.text(updated(kept))
    kept.run().assert_outcomes(passed=2)


def test_only_the_datasets_that_regression_names_are_compared(kept: Project) -> None:
    words(kept, name="more")
    (kept.folder / "more" / "qrels" / "test.tsv").unlink()
    suite(kept, data='"words", "more"', more='[regression]\ndataset = "w*"')
    result = kept.run()
    assert [row["dataset"] for row in regressions(kept, result)] == ["words"]
    suite(kept, data='"words", "more"', more='[regression]\ndataset = ["wrods"]')
    result = kept.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "embedbench.toml: regression.dataset: no dataset is called 'wrods'" in kept.text(result)
    assert "did you mean 'words'?" in kept.text(result)


def test_a_new_pair_and_a_new_metric_are_skipped_with_the_way_to_add_them(kept: Project) -> None:
    words(kept, name="more")
    suite(kept, data='"words", "more"', more='[regression]\nmetrics = ["ndcg@10", "recall@1"]')
    result = kept.run()
    result.assert_outcomes(passed=3, skipped=3)
    assert sorted(row["verdict"] for row in regressions(kept, result)) == [
        "pass",
        *[f"skip: {FILE} has no {lacks}; add it with pytest --embed-update-baseline"
          for lacks in ("recall@1 of this pair", "such pair", "such pair")],
    ]  # fmt: skip
    updated(kept)
    kept.run().assert_outcomes(passed=6)


def test_an_update_keeps_other_pairs_and_says_what_changed(kept: Project) -> None:
    before = stored(kept)["pairs"][0]
    words(kept, name="more")
    suite(kept, data='"words", "more"', cut=3)
    result = updated(kept, "-k", "more")
    assert "1 other pair stays as it was" in kept.text(result)
    assert [entry["dataset"] for entry in stored(kept)["pairs"]] == ["more", "words"]
    assert stored(kept)["pairs"][1] == before
    result = updated(kept)
    lines = [line for line in result.outlines if line.startswith("baseline: mine on words")]
    assert len(lines) == 1
    assert "ndcg@10 1.0000 -> " in lines[0]
    assert lines[0].endswith("max tokens 256 -> 3")
    assert "baseline: mine on more: ndcg@10" in kept.text(result)


def test_an_update_writes_what_was_measured_though_a_check_fails(kept: Project) -> None:
    suite(kept, cut=3, more='[[checks]]\nquality = ["ndcg@10 >= 0.99"]')
    result = kept.run("--embed-update-baseline")
    result.assert_outcomes(passed=1, failed=1)
    assert stored(kept)["pairs"][0]["means"]["ndcg@10"] < 0.9
    assert "baseline: written: " in kept.text(result)


def test_a_pair_that_does_not_work_keeps_its_entry(kept: Project) -> None:
    before = (kept.folder / FILE).read_text("utf-8")
    (kept.folder / "mine" / "model.safetensors").write_bytes(b"broken")
    result = kept.run("--embed-update-baseline")
    result.assert_outcomes(failed=1, skipped=1)
    assert "baseline: not written: no regression item" in kept.text(result)
    assert (kept.folder / FILE).read_text("utf-8") == before


def test_an_interrupted_update_writes_nothing(project: Project) -> None:
    words(project)
    words(project, name="more")
    suite(project, data='"words", "more"')
    project.write(
        "conftest.py",
        """
        def pytest_runtest_teardown(item):
            if item.name.startswith("regression"):
                raise KeyboardInterrupt
        """,
    )
    result = project.spawn("--embed-update-baseline")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "baseline: not written: the run was not finished" in project.text(result)
    assert not (project.folder / FILE).exists()


def test_a_baseline_that_cannot_be_written_fails_the_run(project: Project) -> None:
    words(project)
    project.write("taken", "a file")
    suite(project, more='[regression]\nbaseline = "taken/baseline.json"')
    result = project.run("--embed-update-baseline")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "baseline: not written: " in project.text(result)


def test_comparisons_come_last_and_holm_counts_those_that_run(project: Project) -> None:
    for name in ("one", "two", "three"):
        words(project, name=name)
    suite(project, data='"one", "two", "three"')
    updated(project)
    suite(project, data='"one", "two", "three"', cut=3)
    result = project.run("-v")
    result.assert_outcomes(passed=3, failed=3)
    ran = [line.split("::")[-1].split()[0] for line in result.outlines if line.startswith("embedbench.toml::mine::")]
    assert ran == ["quality[ndcg@10]"] * 3 + ["regression[ndcg@10]"] * 3
    assert project.text(result).count(" for 3 comparisons, level 0.05") == 3
    result = project.run("-k", "not three")
    result.assert_outcomes(passed=2, failed=2, deselected=2)
    assert project.text(result).count(" for 2 comparisons, level 0.05") == 2
    result = project.run("-m", "embedbench(kind='regression')", "-k", "three")
    result.assert_outcomes(failed=1, deselected=5)
    assert " comparisons, level" not in project.text(result)
    rows = [row["check"] for row in project.table(project.run())]
    assert rows == ["ndcg@10", "regression ndcg@10"] * 3, "in the table they stand with their pair"


def test_one_broken_pair_does_not_spoil_the_others(project: Project) -> None:
    words(project, name="one")
    words(project, name="two")
    suite(project, data='"one", "two"')
    updated(project)
    corpus = project.folder / "one" / "corpus.jsonl"
    corpus.write_text(corpus.read_text("utf-8") + "{broken\n", "utf-8")
    result = project.run()
    result.assert_outcomes(passed=2, failed=1, skipped=1)
    assert [(row["dataset"], row["verdict"]) for row in regressions(project, result)] == [
        ("one", "not run: see quality[ndcg@10]"),
        ("two", "pass"),
    ]


def test_without_judgments_a_comparison_fails(kept: Project) -> None:
    (kept.folder / "words" / "qrels" / "test.tsv").unlink()
    result = kept.run("-k", "regression")
    result.assert_outcomes(failed=1, deselected=1)
    assert regressions(kept, result)[0]["verdict"] == "FAIL"
    text = kept.text(result)
    assert "words cannot be scored, so that ndcg@10 cannot be compared with a baseline: " in text
    assert "; or compare other datasets only, with dataset = ... in [regression]" in text
    before = (kept.folder / FILE).read_text("utf-8")
    result = kept.run("--embed-update-baseline")
    assert "baseline: not written" in kept.text(result)
    assert (kept.folder / FILE).read_text("utf-8") == before


def test_a_baseline_of_another_commit(kept: Project) -> None:
    git(kept, "init", "-q")
    git(kept, "add", FILE)
    git(kept, "commit", "-qm", "one")
    git(kept, "tag", "healthy")
    suite(kept, cut=3)
    updated(kept)
    kept.run().assert_outcomes(passed=2)
    result = kept.run(f"--embed-baseline=healthy:{FILE}")
    result.assert_outcomes(passed=1, failed=1)
    assert f"from 1.0000 in healthy:{FILE} to 0." in kept.text(result)
    suite(kept, cut=3, more=f'[regression]\nbaseline = "healthy:{FILE}"')
    kept.run().assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--embed-baseline=no.json"], "--embed-baseline: no such baseline: *no.json"),
        (["--embed-baseline=nope:b.json"], "--embed-baseline: git cannot read nope:b.json: *"),
        (["--embed-baseline=HEAD:b.json"], "--embed-baseline: git cannot read HEAD:b.json: *"),
        (["--embed-baseline=--all:b.json"], "--embed-baseline: '--all:b.json': a commit's name does not start with*"),
        (["--embed-baseline=bad.json"], "--embed-baseline: bad.json is not a baseline: *"),
        (["--embed-baseline=later.json"], "--embed-baseline: later.json has schema version 99; *"),
        (["--embed-update-baseline", "--embed-baseline=bad.json"], "--embed-baseline: bad.json is not a baseline: *"),
        (
            ["--embed-update-baseline", "--embed-baseline=HEAD:b.json"],
            "--embed-baseline: HEAD:b.json is part of a commit and cannot be written",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_baseline_that_cannot_be_used_is_one_error(project: Project, arguments: list[str], message: str) -> None:
    words(project)
    suite(project)
    project.write("bad.json", '{"schema_version": 1, "pairs": [{"model": 3}]}')
    project.write("later.json", '{"schema_version": 99}')
    result = project.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{message}", "  fix: *"])
    assert "Traceback" not in project.text(result)


def test_a_suite_whose_baseline_is_missing_is_an_error(project: Project) -> None:
    words(project)
    suite(project, more="[regression]\nmax_drop = 0.01")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "*embedbench.toml: regression.baseline: no such baseline: *embedbench-baseline.json",
            "  fix: create it with pytest --embed-update-baseline*",
        ]
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("max_dorp = 0.1", "embedbench.toml: regression.max_dorp: unknown key 'max_dorp'*"),
        ("max_drop = 5", "embedbench.toml: regression.max_drop: Expected `float` <= 1*"),
        ('max_drop = "1%"', "embedbench.toml: regression.max_drop: Expected float, got str*"),
        ("confidence = 95", "embedbench.toml: regression.confidence: *"),
        ('metrics = ["ndgc@10"]', "embedbench.toml: regression.metrics[[]0[]]: unknown metric 'ndgc'*"),
        ("metrics = []", "embedbench.toml: regression.metrics: no metric to compare*"),
    ],
)
def test_mistakes_in_the_table(project: Project, table: str, message: str) -> None:
    words(project)
    suite(project, more=f"[regression]\n{table}")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{message.replace('`', '')}"])


def test_in_pyproject_with_a_place_of_its_own(project: Project) -> None:
    words(project)
    project.model("mine")
    page = """
        [tool.embedbench]
        models = ["mine"]
        datasets = ["words"]

        [tool.embedbench.regression]
        baseline = "kept/base.json"
        metrics = ["mrr@10", "recall@7"]
        max_drop = 0.9

        [tool.embedbench.define.models.mine]
        path = "mine"
        """
    project.write("pyproject.toml", page)
    updated(project)
    assert stored(project, "kept/base.json")["pairs"][0]["metrics"] == ["mrr@10", "recall@7"]
    project.write("pyproject.toml", page + "max_seq_length = 3\n".rjust(27))
    result = project.run("--embed-only", "pyproject.toml")
    result.assert_outcomes(passed=3)
    assert {row["limit"] for row in regressions(project, result)} == {"drop <= 0.9"}
    assert ", within max_drop 0.9; significant" in project.text(result)


def test_without_a_suite_the_file_in_the_root_folder_counts(project: Project) -> None:
    words(project)
    project.model("mine")
    ask = ("--embed-model=mine", "--embed-dataset=words")
    project.run(*ask).assert_outcomes(passed=5)
    result = project.run(*ask, "--embed-update-baseline", "-k", "ndcg")
    assert result.ret == 0, project.text(result)
    assert (project.folder / FILE).is_file()
    result = project.run(*ask, "-k", "ndcg")
    assert regressions(project, result)[0]["verdict"] == "pass"
    (project.folder / FILE).rename(project.folder / "other.json")
    assert regressions(project, project.run(*ask, "-k", "ndcg")) == []
    assert regressions(project, project.run(*ask, "-k", "ndcg", "--embed-baseline=other.json"))


def test_the_verdict_goes_to_junit_and_no_entry_does(kept: Project) -> None:
    suite(kept, cut=3)
    kept.run("--junitxml=junit.xml")
    text = (kept.folder / "junit.xml").read_text("utf-8")
    assert 'name="embedbench_check" value="regression ndcg@10"' in text
    assert 'name="embedbench_limit" value="drop &lt;= 0.005"' in text
    updated(kept, "--junitxml=junit.xml")
    assert "q-bicycles" not in (kept.folder / "junit.xml").read_text("utf-8")


LOG = """
    import os
    import pytest_embedbench.engine.evaluations as evaluations
    import pytest_embedbench.results.baseline as baseline

    def logged(name, function):
        def call(*arguments, **keywords):
            with open("calls.txt", "a") as file:
                file.write(f"{name} {os.environ.get('PYTEST_XDIST_WORKER', 'controller')}\\n")
            return function(*arguments, **keywords)
        return call

    evaluations.evaluate = logged("evaluate", evaluations.evaluate)
    baseline.write_atomically = logged("write", baseline.write_atomically)
"""


@pytest.mark.parametrize("arguments", [(), ("--dist=worksteal",)], ids=["pairs", "items"])
def test_with_xdist(project: Project, arguments: tuple[str, ...]) -> None:
    pytest.importorskip("xdist")
    names = ("one", "two", "three")
    for name in names:
        words(project, name=name)
    data = '"one", "two", "three"'
    suite(project, data=data)
    project.write("conftest.py", LOG)

    def calls() -> list[list[str]]:
        log: Path = project.folder / "calls.txt"
        lines = log.read_text("utf-8").splitlines()
        log.unlink()
        return [line.split() for line in lines]

    result = project.spawn("-n", "2", "--embed-update-baseline", *arguments)
    assert result.ret == 0, project.text(result)
    assert [entry["dataset"] for entry in stored(project)["pairs"]] == sorted(names)
    done = calls()
    assert [who for what, who in done if what == "write"] == ["controller"]
    assert sum(what == "evaluate" for what, _ in done) == 3

    suite(project, data=data, cut=3)
    spread = project.spawn("-n", "2", "--embed-fresh", "--embed-only", *arguments)
    spread.assert_outcomes(passed=3, failed=3)
    assert sum(what == "evaluate" for what, _ in calls()) == 3, "also with --embed-fresh each pair is evaluated once"
    alone = project.spawn("--embed-only")

    def shown(result: pytest.RunResult) -> list[str]:
        return sorted(line for line in result.outlines if line.startswith("ndcg@10 fell by"))

    assert shown(spread) == shown(alone)
    assert len(shown(spread)) == 3
    assert all("for 3 comparisons" in line for line in shown(spread))
