"""The first line of a failure is complete by itself: in the short summary, with --tb=line, in junit, from workers too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

MISSED = "recall@1 is 0.7500, must be >= 0.9"


@pytest.mark.parametrize("processes", [(), ("-n1", "-p", "xdist")], ids=["alone", "from a worker"])
def test_a_missed_limit(project: Project, processes: tuple[str, ...]) -> None:
    project.suite("recall@1 >= 0.9")
    result = project.spawn("--junit-xml=out.xml", *processes)
    name = "embedbench.toml::minilm::facts::quality[recall@1]"
    assert f"FAILED {name} - {MISSED}" in result.outlines
    assert MISSED in result.outlines, "the section of the failure begins with it, without a path or a class"
    assert f'<failure message="{MISSED.replace(">", "&gt;")}' in (project.folder / "out.xml").read_text("utf-8")
    line = project.spawn("--tb=line", *processes)
    assert f"{project.folder}/embedbench.toml:1: minilm on facts: {MISSED}" in line.outlines
    assert "lowest-scoring" not in project.text(line)


def test_a_model_that_does_not_load(project: Project) -> None:
    project.data()
    (project.model("broken") / "model.safetensors").write_bytes(b"no weights")
    line = project.run("--tb=line", "--embed-model=broken", "--embed-dataset=facts", "-k", "ndcg")
    line.stdout.fnmatch_lines(
        [
            "*embedbench.toml:1: broken on facts: model 'broken': */broken/model.safetensors: the file * is cut off or damaged: *"
        ]
    )
    line.stdout.fnmatch_lines(["FAILED embedbench-default.toml::broken::facts::quality?ndcg@10? - broken on facts: *"])
    whole = project.run("--embed-model=broken", "--embed-dataset=facts", "-k", "ndcg")
    whole.stdout.fnmatch_lines(["model 'broken': */broken/model.safetensors: the file * is cut off or damaged: *"])
    whole.stdout.fnmatch_lines(["FAILED *::broken::facts::quality?ndcg@10? - */broken/model.safetensors: *"])
