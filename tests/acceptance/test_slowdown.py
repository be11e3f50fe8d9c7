"""Speed against a baseline model, side by side: items, verdicts, evidence. No time is asserted, only what it leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.load.ratio import parse_pairs, ratio_of
from pytest_embedbench.models.load import load_model

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Model
    from pytest_embedbench.models.spec import NamedModel
    from tests.acceptance.conftest import Project

SHORT = "--embed-profile-seconds=0.2"


def suite(project: Project, limit: float, *, models: str = '"minilm@dim=128"', more: str = "") -> None:
    project.data()
    project.write(
        "embedbench.toml",
        f"""
        [embedbench]
        models = [{models}]
        datasets = ["facts"]

        [regression]
        max_slowdown = {limit}
        speed_against = "minilm"
        profile = "b1 c2"
        {more}
        """,
    )


def slowdowns(project: Project, result: pytest.RunResult) -> list[dict[str, str]]:
    return [row for row in project.table(result) if row["check"].startswith("slowdown")]


def test_a_generous_limit_passes_and_says_what_was_measured(project: Project) -> None:
    suite(project, 1000)
    result = project.run(SHORT, "-v", "--junitxml=junit.xml")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "embedbench.toml::minilm@dim=128::facts::slowdown[[]b1-c2-query[]] PASSED*",
            "embedbench.toml::minilm@dim=128::facts::slowdown[[]b1-c2-corpus[]] PASSED*",
            "minilm@dim=128 on facts: query under b1 c2 takes *.* times as long as with minilm (95% interval * to *): *",
            "*: within max_slowdown 1000; medians * ms and * ms, * pairs, of 6 distinct texts in * s (*), on *",
        ]
    )
    assert [(row["check"], row["limit"], row["verdict"]) for row in slowdowns(project, result)] == [
        ("slowdown b1 c2 query", "<= 1000x of minilm", "pass"),
        ("slowdown b1 c2 corpus", "<= 1000x of minilm", "pass"),
    ]
    junit = (project.folder / "junit.xml").read_text("utf-8")
    assert 'name="embedbench_check" value="slowdown b1 c2 corpus"' in junit
    assert 'name="embedbench_limit" value="&lt;= 1000x of minilm"' in junit


def test_the_verdict_can_be_computed_again_from_what_is_kept(project: Project) -> None:
    suite(project, 1000)
    project.run(SHORT).assert_outcomes(passed=3)
    details = project.result(model="*@dim=128").embedbench
    ((name, found),) = details.slowdowns.items()
    assert name == "b1 c2 against minilm"
    assert details.environment is not None
    assert found.hardware == details.environment.hardware
    assert found.against_fingerprint == details.model.fingerprint, "a variant's files are its model's"
    folder = project.result_path(model="*@dim=128").parent
    for side in (found.query, found.corpus):
        pairs = parse_pairs((folder / side.samples).read_text("utf-8"))
        assert len(pairs) == side.pairs >= 5
        assert (side.ratio, side.low, side.high) == ratio_of(pairs, side.confidence)
    assert found.query.samples != found.corpus.samples
    project.run("-k", "quality", "--embed-fresh").assert_outcomes(passed=1, deselected=2)
    assert project.result(model="*@dim=128").embedbench.slowdowns == details.slowdowns, "it stays with its result"


def test_a_limit_that_nothing_reaches_fails(project: Project) -> None:
    """A model that reads long texts whole takes surely more than a hundredth of one that does the same."""
    suite(project, 0.01)
    result = project.run(SHORT, "--junitxml=junit.xml")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["query under b1 c2 takes * even at the interval's near end; medians *"])
    assert [row["verdict"] for row in slowdowns(project, result)] == ["FAIL", "FAIL"]
    assert "Traceback" not in project.text(result)
    assert 'name="embedbench_verdict" value="failed"' in (project.folder / "junit.xml").read_text("utf-8")


def test_two_models_are_loaded_once_each_and_come_after_everything_else(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.model("mine")
    suite(project, 1000, models='"mine", "minilm", "bm25"', more='\n        [models.mine]\n        path = "mine"')
    loaded: list[str] = []

    def watched(model: NamedModel, **options: Any) -> Model:
        loaded.append(model.alias)
        return load_model(model, **options)

    monkeypatch.setattr("pytest_embedbench.engine.loader.load_model", watched)
    result = project.run("-v", SHORT)
    result.assert_outcomes(passed=5, skipped=2)
    ran = [line.split("::", 1)[1].split()[0] for line in result.outlines if line.startswith("embedbench.toml::")]
    assert ran == [
        *[f"{model}::facts::quality[ndcg@10]" for model in ("mine", "minilm", "bm25")],
        *[f"{model}::facts::slowdown[b1-c2-{side}]" for model in ("mine", "bm25") for side in ("query", "corpus")],
    ]
    rows = slowdowns(project, result)
    assert [row["verdict"] for row in rows[2:]] == ["skip: a lexical reference has no load profile"] * 2
    assert loaded == ["mine", "minilm", "bm25", "mine", "minilm"], "both items of a pair share one measurement"
    project.run(SHORT, "-m", "embedbench(kind='slowdown')").assert_outcomes(passed=2, skipped=2, deselected=3)


def test_a_baseline_that_does_not_load_is_an_error_that_names_it(project: Project) -> None:
    (project.model("old") / "model.safetensors").write_bytes(b"broken")
    suite(project, 1.1)
    path = project.folder / "embedbench.toml"
    path.write_text(path.read_text("utf-8").replace('"minilm"', '"./old"'), "utf-8")
    result = project.run(SHORT)
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    assert "model 'old'" in project.text(result)
    assert "Traceback" not in project.text(result)
    first, second = (row["verdict"] for row in slowdowns(project, result))
    assert first == "FAIL"
    assert second.startswith("not run: see ")


def test_a_mistake_ends_the_session(project: Project) -> None:
    suite(project, 0)
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*embedbench.toml: regression.max_slowdown: *", "  fix: *"])


def test_with_xdist_it_runs_alone(project: Project) -> None:
    pytest.importorskip("xdist")
    suite(project, 1000)
    project.write(
        "conftest.py",
        """
        import pytest_embedbench.machine.device_lock as device_lock

        def logged(name, *, alone, what, hold=device_lock.hold_lock):
            with open("rooms.txt", "a") as file:
                file.write(f"{alone}\\n")
            return hold(name, alone=alone, what=what)

        device_lock.hold_lock = logged
        """,
    )
    project.spawn("-n", "2", SHORT).assert_outcomes(passed=3)
    assert sorted((project.folder / "rooms.txt").read_text("utf-8").split()) == ["False", *["True"] * 4], (
        "of the machine and of the session"
    )
