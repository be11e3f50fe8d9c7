"""``--embed-dtype=auto`` in a session: chosen on the dataset's texts, remembered, said, and part of the result's key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.engine import dtype_choice, loader
from pytest_embedbench.models.load import load_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Encoder, Model, Vectors
    from pytest_embedbench.models.spec import NamedModel
    from tests.acceptance.conftest import Project


@pytest.fixture
def project_with_bf16(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project on a machine that is said to multiply bf16 fast, however slowly it does."""
    monkeypatch.setenv("EMBEDBENCH_CACHE", str(project.folder / "cache"))
    monkeypatch.setattr(loader, "fast_dtypes", lambda _: ("bf16",))
    monkeypatch.setattr(dtype_choice, "MIN_SPEEDUP", 0.0)
    tried, rates = dtype_choice._try, {"fp32": 100.0, "bf16": 200.0}

    def timed(model: Encoder, texts: Mapping[Role, Sequence[str]]) -> tuple[dict[Role, Vectors], float]:
        """The vectors as they are, the clock's answer replaced: timing is no test's business."""
        return tried(model, texts)[0], rates[model.facts.dtype]

    monkeypatch.setattr(dtype_choice, "_try", timed)
    project.suite("ndcg@10 >= 0.5")
    return project


def test_the_choice_is_made_once_said_and_remembered(project_with_bf16: Project) -> None:
    project = project_with_bf16
    first = project.run("--embed-model", "minilm", "--embed-dtype", "auto")
    assert first.ret == 0
    assert "embedbench dtype: auto; chosen when a model first meets a dataset" in first.outlines
    (line,) = [line for line in first.outlines if "auto chose" in line]
    assert "minilm on facts: auto chose bf16: 200 tok/s, fp32 100; cosine to fp32 >= 0.99" in line
    facts = project.result().embedbench.model.facts
    assert facts is not None
    assert facts.dtype == "bf16"

    second = project.run("--embed-model", "minilm", "--embed-dtype", "auto")
    assert second.ret == 0
    (line,) = [line for line in second.outlines if line.startswith("embedbench dtype:")]
    assert line.startswith("embedbench dtype: auto; minilm on facts as last time: bf16: 200 tok/s, fp32 100; cosine")
    assert any("(reused: same model, data and settings)" in line for line in second.outlines)


def test_a_format_that_changes_vectors_is_not_taken(
    project_with_bf16: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dtype_choice, "MIN_COSINE", 1.0)
    result = project_with_bf16.run("--embed-dtype", "auto")
    assert result.ret == 0
    assert any("auto chose fp32: bf16 fails the guard (cosine 0.99" in line for line in result.outlines)
    facts = project_with_bf16.result().embedbench.model.facts
    assert facts is not None
    assert facts.dtype == "fp32"


def test_the_suite_may_ask_for_it_and_probes_run_in_the_chosen_format(project_with_bf16: Project) -> None:
    project = project_with_bf16
    project.conformance = True
    suite = project.folder / "embedbench.toml"
    text = suite.read_text(encoding="utf-8")
    suite.write_text(text.replace("[embedbench]\n", '[embedbench]\ndtype = "auto"\n'), encoding="utf-8")
    loaded: list[str] = []

    def counted(model: NamedModel, **options: Any) -> Model:
        loaded.append(options["dtype"])
        return load_model(model, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "load_model", counted)
        result = project.run()
    assert result.ret == 0
    assert loaded == ["fp32", "bf16"], "the format that was tried last is the one that stays"


def test_fresh_chooses_again(project_with_bf16: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project_with_bf16.run("--embed-dtype", "auto").ret == 0
    monkeypatch.setattr(loader, "fast_dtypes", lambda _: ())
    assert any("auto chose bf16" in line for line in project_with_bf16.run("--embed-dtype", "auto").outlines)
    result = project_with_bf16.run("--embed-dtype", "auto", "--embed-fresh")
    assert any("auto chose fp32: nothing is faster on this hardware" in line for line in result.outlines)
