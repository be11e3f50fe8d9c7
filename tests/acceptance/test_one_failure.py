"""One cause is one failure, before any probe is run; what depends on it refers to it, and is never green."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

SUITE = """
[embedbench]
models = [{models}]
datasets = [{datasets}]
[[checks]]
quality = ["ndcg@10 >= 0.1", "recall@1 >= 0.1"]
[models.broken]
path = "broken"
[models.also-broken]
path = "also-broken"
"""


def suite(project: Project, *models: str, datasets: tuple[str, ...] = ("facts",)) -> None:
    quoted = [", ".join(f'"{name}"' for name in names) for names in (models, datasets)]
    project.write("embedbench.toml", SUITE.format(models=quoted[0], datasets=quoted[1]))


@pytest.fixture
def probed(project: Project) -> Project:
    """Return a project with data and two models that do not load, whose runs probe their models."""
    project.conformance = True
    project.data()
    for name in ("broken", "also-broken"):
        (project.model(name) / "model.safetensors").write_bytes(b"not weights")
    return project


def failed(result: pytest.RunResult) -> list[str]:
    """Node ids of the short summary's failures, without the file."""
    lines = [line for line in result.outlines if line.startswith("FAILED ")]
    return [line.split(" - ")[0].partition("::")[2] for line in lines]


def break_data(project: Project, name: str = "facts") -> None:
    path = project.folder / name / "corpus.jsonl"
    path.write_text(path.read_text("utf-8") + '{"_id": "cut", "te', "utf-8")


@pytest.mark.parametrize("processes", [(), ("-n2", "-p", "xdist")], ids=["alone", "two processes"])
def test_a_model_that_does_not_load(probed: Project, processes: tuple[str, ...]) -> None:
    probed.data("more")
    suite(probed, "broken", "also-broken", datasets=("facts", "more"))
    result = probed.spawn("-rfs", *processes)
    counts = result.parseoutcomes()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert counts["failed"] == 2, "one for each model"
    assert "passed" not in counts
    assert len(failed(result)) == 2
    for text in ("cut off or damaged", "fix: copy or download it again"):
        assert sum(text in line for line in result.outlines if not line.startswith("FAILED ")) == 2, "in one message"
    assert "direct cause" not in result.stdout.str()
    assert {name.partition("::")[0] for name in failed(result)} == {"broken", "also-broken"}
    for name in failed(result):
        assert f"not run: see {name}" in probed.text(result)
    rows = [(row["check"], row["verdict"].partition("::")[0]) for row in probed.table(result)]
    assert sum(verdict == "FAIL" for _, verdict in rows) == 2
    others = {verdict for _, verdict in rows} - {"FAIL"}
    assert others
    assert all(verdict.startswith("not run: see ") for verdict in others)
    if not processes:  # with several, the item that fails may be one of another pair, whose names the row needs
        name = failed(result)[0].split("::")[-1]
        assert others == {f"not run: see {name}"}, "the row has the names of model and dataset"


@pytest.mark.parametrize("processes", [(), ("-n2", "-p", "xdist")], ids=["alone", "two processes"])
def test_data_that_cannot_be_read(probed: Project, processes: tuple[str, ...]) -> None:
    break_data(probed)
    suite(probed, "minilm", "minilm@int8")
    result = probed.spawn("-v", *processes)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    counts = result.parseoutcomes()
    assert (counts["failed"], counts.get("passed", 0)) == (1, 0), "no probe, and the second variant refers to the first"
    (name,) = failed(result)
    assert "::facts::" in name
    assert probed.text(result).count("corpus.jsonl:7: ") <= 3, "section, short summary and table at most"


def test_one_of_two_datasets_fails_first_and_the_other_is_tested(probed: Project) -> None:
    probed.data("good")
    break_data(probed)
    suite(probed, "minilm", datasets=("good", "facts"))
    result = probed.run("-v")
    lines = [line for line in result.outlines if "%]" in line]
    assert re.search(r"minilm::facts::quality\[ndcg@10\] FAILED", lines[0])
    assert re.search(r"minilm::facts::quality\[recall@1\] SKIPPED", lines[1])
    assert "conformance[" in lines[2]
    assert failed(result) == ["minilm::facts::quality[ndcg@10]"]
    assert result.parseoutcomes()["skipped"] >= 1
    assert [row["verdict"] for row in probed.table(result) if row["dataset"] == "good"] == ["pass", "pass"]


def test_a_gate_without_judgments_fails_before_the_probes(probed: Project) -> None:
    probed.data(qrels={})
    suite(probed, "minilm")
    result = probed.run("-v", "-x")
    assert failed(result) == ["minilm::facts::quality[ndcg@10]"]
    result.assert_outcomes(failed=1)
    whole = probed.run("-k", "quality")
    assert whole.parseoutcomes()["failed"] == 1
    whole.stdout.fnmatch_lines(["minilm*facts*recall@1*not run: see quality?ndcg@10?"])


def test_selections_stay_red_and_the_rest_runs_with_the_last_failed(probed: Project) -> None:
    suite(probed, "broken")
    alone = probed.run("-k", "recall")
    alone.assert_outcomes(failed=1, deselected=alone.parseoutcomes()["deselected"])
    stopped = probed.run("-x", "-k", "quality", "--cache-clear")
    assert stopped.parseoutcomes()["failed"] == 1
    assert probed.run("-k", "quality", "--cache-clear").parseoutcomes()["skipped"] == 1
    # Once the model loads, --lf runs what did not run too.
    weights = probed.model("healthy") / "model.safetensors"
    (probed.folder / "broken" / "model.safetensors").write_bytes(weights.read_bytes())
    assert probed.run("--lf").parseoutcomes()["passed"] == 2
    assert "failed" not in probed.run("--lf", "-k", "quality").parseoutcomes()


def test_tests_in_python_refer_to_it_as_well(project: Project) -> None:
    project.data()
    break_data(project)
    project.write(
        "test_mine.py",
        """
        import pytest

        pytestmark = pytest.mark.embedbench(models=["minilm"], datasets=["facts"])

        def test_one(embed_evaluation): ...
        def test_two(embed_evaluation): ...
        def test_three(embed_dataset): ...
        """,
    )
    result = project.run("-rs", "-v")
    result.assert_outcomes(errors=2, skipped=1)
    text = project.text(result)
    assert "not run: see test_mine.py::test_one[minilm-facts]" in text
    assert "Traceback" not in text
    assert "def embed_evaluation" not in text
