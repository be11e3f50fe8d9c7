"""Suite files are collected like any test file: node ids, selection, last failed, folders, neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

ORDINARY = "def test_ordinary():\n    pass\n"
PASSING = ("recall@1 >= 0.5", "mrr@10 >= 0.5")
MIXED = ("recall@1 >= 0.9", "mrr@10 >= 0.5", "ndcg@10 >= 0.999")


def ids(result: pytest.RunResult) -> list[str]:
    """Node ids as ``--collect-only -q`` prints them."""
    return [line for line in result.outlines if "::" in line]


def outcomes(result: pytest.RunResult) -> dict[str, str]:
    """Node id -> outcome as ``-v`` prints them."""
    pairs = (line.split() for line in result.outlines if "::" in line and line.endswith("%]"))
    return {pair[0]: pair[1] for pair in pairs}


def test_plain_pytest_runs_the_suite_beside_ordinary_tests(project: Project) -> None:
    project.suite(*PASSING)
    project.write("test_ordinary.py", ORDINARY)
    result = project.run("-v")
    assert outcomes(result) == {
        "embedbench.toml::minilm::facts::quality[recall@1]": "PASSED",
        "embedbench.toml::minilm::facts::quality[mrr@10]": "PASSED",
        "test_ordinary.py::test_ordinary": "PASSED",
    }
    assert result.ret == 0


def test_a_suite_in_pyproject(project: Project) -> None:
    project.data()
    project.write(
        "pyproject.toml",
        """
        [project]
        name = "mine"
        version = "1"

        [tool.embedbench]
        models = ["small"]
        datasets = ["renamed"]

        [[tool.embedbench.checks]]
        dataset = "ren*"
        quality = ["recall@1 >= 0.75"]

        [tool.embedbench.define.models.small]
        path = "copy"

        [tool.embedbench.define.datasets.renamed]
        path = "facts"
        domain = "general"
        """,
    )
    project.model()
    result = project.run("-v")
    assert outcomes(result) == {"pyproject.toml::small::renamed::quality[recall@1]": "PASSED"}
    assert project.result("renamed", model="small").embedbench.dataset.facts.domain == "general"


def test_without_a_suite_the_packaged_one_runs(project: Project) -> None:
    project.data()
    result = project.run("--embed-model=minilm", "--embed-dataset=facts", "-k", "recall", "-v")
    assert outcomes(result) == {"embedbench-default.toml::minilm::facts::quality[recall@10]": "PASSED"}
    result.stdout.fnmatch_lines(["embedbench: packaged default suite; models: minilm; datasets: facts"])


def test_plain_pytest_without_a_suite_is_left_alone(project: Project) -> None:
    project.write("test_ordinary.py", ORDINARY)
    result = project.run()
    result.assert_outcomes(passed=1)
    assert "embedbench:" not in project.text(result)
    assert not (project.folder / "embedbench-out").exists()


def test_embed_suite_names_the_only_suite_that_runs(project: Project) -> None:
    project.suite(*PASSING)
    project.suite("ndcg@3 >= 0.1", name="nightly.toml")
    project.write("test_ordinary.py", ORDINARY)
    result = project.run("--embed-suite=nightly.toml", "-v")
    assert outcomes(result) == {"nightly.toml::minilm::facts::quality[ndcg@3]": "PASSED"}
    result.assert_outcomes(passed=1, deselected=1)


@pytest.mark.parametrize(
    ("arguments", "selected"),
    [
        (["-k", "mrr"], ["quality[mrr@10]"]),
        (["-k", "all-MiniLM-L6-v2 and recall"], ["quality[recall@1]"]),
        (["-k", "facts and budget"], ["budget[b1-c1]"]),
        (["-m", "embedbench"], ["quality[recall@1]", "quality[mrr@10]", "budget[b1-c1]"]),
        (["-m", "embedbench(kind='quality')"], ["quality[recall@1]", "quality[mrr@10]"]),
        (["-m", "embedbench(kind='budget')"], ["budget[b1-c1]"]),
        (["embedbench.toml::minilm::facts::quality[mrr@10]"], ["quality[mrr@10]"]),
        (["embedbench.toml::minilm"], ["quality[recall@1]", "quality[mrr@10]", "budget[b1-c1]"]),
        (["--deselect=embedbench.toml::minilm::facts::budget[b1-c1]", "embedbench.toml"],
         ["quality[recall@1]", "quality[mrr@10]"]),
    ],
)  # fmt: skip
def test_selection(project: Project, arguments: list[str], selected: list[str]) -> None:
    project.suite(*PASSING, more="[[checks]]\nprofile = 'b1 c1'\n")
    result = project.run("--collect-only", "-q", *arguments)
    assert ids(result) == [f"embedbench.toml::minilm::facts::{name}" for name in selected]
    assert result.ret == 0


def test_a_hub_id_in_a_node_id(project: Project) -> None:
    project.data()
    project.model()
    project.write(
        "embedbench.toml",
        "[embedbench]\nmodels = ['me/mini']\ndatasets = ['facts']\n[models.'me/mini']\npath = 'copy'\n",
    )
    name = "embedbench.toml::me/mini::facts::quality[ndcg@10]"
    assert ids(project.run("--collect-only", "-q")) == [name]
    assert outcomes(project.run("-v", name)) == {name: "PASSED"}
    assert project.result(model="me__mini").embedbench.model.name == "me/mini"


def test_an_unknown_node_id_is_an_error(project: Project) -> None:
    project.suite(*PASSING)
    result = project.run("embedbench.toml::minilm::facts::quality[ndcg@7]")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "found no match" in project.text(result) or "not found" in project.text(result)


def test_stop_at_the_first_failure(project: Project) -> None:
    project.suite(*MIXED)
    result = project.run("-x", "-v")
    assert outcomes(result) == {"embedbench.toml::minilm::facts::quality[recall@1]": "FAILED"}
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_last_failed_runs_only_those(project: Project) -> None:
    project.suite(*MIXED)
    project.write("test_ordinary.py", ORDINARY)
    project.run().assert_outcomes(failed=2, passed=2)
    result = project.run("--lf", "-v")
    assert outcomes(result) == {
        "embedbench.toml::minilm::facts::quality[recall@1]": "FAILED",
        "embedbench.toml::minilm::facts::quality[ndcg@10]": "FAILED",
    }


def test_last_failed_knows_items_of_the_packaged_suite(project: Project) -> None:
    project.data()
    broken = project.model("broken")
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(b"not weights")
    # One fails and the others refer to it, so mend the model for a run of one item to leave three.
    arguments = ("--embed-model=broken", "--embed-dataset=facts", "-k", "quality")
    project.run(*arguments).assert_outcomes(failed=1, skipped=3, deselected=1)
    (broken / "model.safetensors").write_bytes(weights)
    name = "embedbench-default.toml::broken::facts::quality[map@10]"
    alone = project.run("--embed-model=broken", "--embed-dataset=facts", name, "-v")
    assert outcomes(alone) == {name: "PASSED"}
    again = project.run(*arguments, "--lf", "-v")
    assert outcomes(again) == {
        f"embedbench-default.toml::broken::facts::quality[{measure}]": "PASSED"
        for measure in ("ndcg@10", "mrr@10", "recall@10")
    }


def test_two_limits_on_one_measure_have_ids_of_their_own(project: Project) -> None:
    project.suite("recall@1 >= 0.5", "recall@1 <= 0.7", "recall@1 < 0.9")
    result = project.run("-v")
    base = "embedbench.toml::minilm::facts::quality"
    assert outcomes(result) == {
        f"{base}[recall@1]": "PASSED", f"{base}[recall@1#2]": "FAILED", f"{base}[recall@1#3]": "PASSED"
    }  # fmt: skip
    assert outcomes(project.run("-v", f"{base}[recall@1#2]")) == {f"{base}[recall@1#2]": "FAILED"}


def test_suites_in_subfolders_find_their_own_data(project: Project) -> None:
    for name, limit in (("red", "recall@1 >= 0.75"), ("blue", "recall@1 >= 0.9")):
        project.data(f"{name}/facts")
        project.suite(limit, name=f"{name}/embedbench.toml")
    everything = project.run("-v")
    assert outcomes(everything) == {
        "blue/embedbench.toml::minilm::facts::quality[recall@1]": "FAILED",
        "red/embedbench.toml::minilm::facts::quality[recall@1]": "PASSED",
    }
    assert list(outcomes(project.run("red", "-v"))) == ["red/embedbench.toml::minilm::facts::quality[recall@1]"]


def test_a_model_without_paths_runs_embedbench_items_only(project: Project) -> None:
    project.suite(*PASSING)
    project.write("test_ordinary.py", ORDINARY)
    result = project.run("--embed-model=minilm", "-v")
    assert all(name.startswith("embedbench.toml::") for name in outcomes(result))
    result.assert_outcomes(passed=2, deselected=1)


def test_a_model_with_paths_runs_just_those(project: Project) -> None:
    project.suite(*PASSING)
    project.write("test_ordinary.py", ORDINARY)
    result = project.run("--embed-model=minilm", "test_ordinary.py", "-v")
    assert outcomes(result) == {"test_ordinary.py::test_ordinary": "PASSED"}


def test_embed_only_deselects_other_tests(project: Project) -> None:
    project.suite(*PASSING)
    project.write("test_ordinary.py", ORDINARY)
    project.run("--embed-only").assert_outcomes(passed=2, deselected=1)


def test_a_suite_outside_testpaths_runs(project: Project) -> None:
    project.suite(*PASSING)
    project.write("tests/test_ordinary.py", ORDINARY)
    project.write("pytest.ini", "[pytest]\ntestpaths = tests\n")
    project.run().assert_outcomes(passed=3)
    project.run("--embed-model=minilm").assert_outcomes(passed=2, deselected=1)


def test_the_command_lines_models_replace_the_suites(project: Project) -> None:
    pytest.importorskip("bm25s")
    project.suite(*PASSING)
    result = project.run("--embed-model=bm25", "--collect-only", "-q")
    assert ids(result) == [f"embedbench.toml::bm25::facts::quality[{name}]" for name in ("recall@1", "mrr@10")]


def test_each_suite_keeps_its_own_settings(project: Project) -> None:
    for name, dtype in (("a", "bf16"), ("b", "fp32")):
        project.data(f"{name}/{name}-data")
        project.write(
            f"{name}/embedbench.toml",
            f'[embedbench]\nmodels = ["minilm"]\ndatasets = ["{name}-data"]\ndtype = "{dtype}"\n',
        )
    assert project.run().ret == 0
    assert project.result("a-data").embedbench.model.facts.dtype == "bf16"
    assert project.result("b-data").embedbench.model.facts.dtype == "fp32"
