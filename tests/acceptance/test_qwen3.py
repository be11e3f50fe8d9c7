"""Qwen3 in whole runs: instructions of datasets, what is shared between them, and notices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from pytest_embedbench.models.protocol import PreparedText
    from tests.acceptance.conftest import Project

CLAIMS = "Given a claim, find documents that refute it"
PLANTS = "Given a plant, find how it is prepared"
REUSED = "(reused: same model, data and settings"
DTYPE = "note: qwen: its weights are bf16 and are loaded as fp32 (0.0 GB)*--embed-dtype=bf16 keeps them"
LENGTH = "note: qwen: texts are cut at 8,192 tokens, the model takes 32,768; max_seq_length sets another limit"


class Watch:
    """Counts models loaded, and texts that went through one, by role."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from pytest_embedbench.models.load import load_model
        from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel

        self.loaded: list[str] = []
        self.texts: dict[Role, int] = {"query": 0, "document": 0}
        forward = SentenceTransformerModel.forward

        def watched_load(model: Any, **options: Any) -> Any:
            self.loaded.append(model.alias)
            return load_model(model, **options)

        def watched_forward(model: SentenceTransformerModel, batch: Sequence[PreparedText], role: Role) -> Any:
            self.texts[role] += len(batch)
            return forward(model, batch, role)

        monkeypatch.setattr("pytest_embedbench.engine.loader.load_model", watched_load)
        monkeypatch.setattr(SentenceTransformerModel, "forward", watched_forward)


@pytest.fixture(scope="session")
def _qwen3_libraries(qwen3_folder: Path) -> None:
    """Import what Qwen3 needs, before pytester takes its snapshot of the modules."""
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from pytest_embedbench.models.spec import ModelSpec, NamedModel

    named = NamedModel(alias="qwen", spec=ModelSpec(path=str(qwen3_folder)))
    SentenceTransformerModel(named, qwen3_folder, device="cpu", dtype="fp32")


@pytest.fixture
def watch(_qwen3_libraries: None, project: Project, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Return what counts the work of this test's runs."""
    return Watch(monkeypatch)


def suite(project: Project, folder: Path, more: str = "", **instructions: str) -> None:
    """Write a suite with the model, and for each instruction a dataset of that name; all have the same texts."""
    for name in instructions:
        project.data(name)
    datasets = "".join(
        f"[datasets.{name}]\npath = {name!r}\ninstruction = {told!r}\n" for name, told in instructions.items()
    )
    project.write(
        "embedbench.toml",
        f"[embedbench]\nmodels = ['qwen']\ndatasets = {list(instructions)}\nmetrics = ['ndcg@10']\n"
        f'[models.qwen]\npath = {str(folder)!r}\nquery_prompt = "Instruct: {{task}}\\nQuery:"\n{more}\n{datasets}',
    )


def run(project: Project, *arguments: str) -> pytest.RunResult:
    """Run; it must pass."""
    result = project.run(*arguments)
    assert result.ret == 0, project.text(result)
    return result


def test_two_instructions_share_the_model_and_the_documents_but_no_query(
    project: Project, watch: Watch, qwen3_folder: Path
) -> None:
    suite(project, qwen3_folder, claims=CLAIMS, plants=PLANTS, plain="")
    run(project)
    assert watch.loaded == ["qwen"]
    assert watch.texts == {"document": 6, "query": 3 * 4}
    default = "Given a web search query, retrieve relevant passages that answer the query"
    runs = set()
    for name, instruction, cached in (("claims", CLAIMS, 0), ("plants", PLANTS, 6), ("plain", default, 6)):
        details = project.result(name, model="qwen").embedbench
        assert details.model.facts is not None
        assert details.model.facts.prompts == {"query": f"Instruct: {instruction}\nQuery:"}
        assert (details.effort["corpus_cached_texts"], details.effort["query_cached_texts"]) == (cached, 0)
        runs.add(details.evidence.run_sha256)
    assert len(runs) == 3


def test_another_instruction_is_another_run_with_the_same_documents(
    project: Project, watch: Watch, qwen3_folder: Path
) -> None:
    suite(project, qwen3_folder, claims=CLAIMS)
    assert REUSED not in project.text(run(project))
    before = project.result("claims", model="qwen").embedbench
    assert REUSED in project.text(run(project))
    assert watch.texts == {"document": 6, "query": 4}
    suite(project, qwen3_folder, claims=PLANTS)
    assert REUSED not in project.text(run(project))
    after = project.result("claims", model="qwen").embedbench
    assert after.key != before.key
    assert after.evidence.run_sha256 != before.evidence.run_sha256
    assert watch.texts == {"document": 6, "query": 8}
    suite(project, qwen3_folder, claims=CLAIMS)
    run(project)
    assert project.result("claims", model="qwen").embedbench.evidence.run_sha256 == before.evidence.run_sha256
    assert watch.texts == {"document": 6, "query": 8}, "these queries are still in the cache"


def test_what_was_decided_about_format_and_length_is_shown_once(
    project: Project, watch: Watch, qwen3_folder: Path
) -> None:
    suite(project, qwen3_folder, claims=CLAIMS, plants=PLANTS)
    result = run(project)
    result.stdout.fnmatch_lines_random([DTYPE, LENGTH])
    assert project.text(result).count("note: qwen: ") == 2
    suite(project, qwen3_folder, "max_seq_length = 32768", claims=CLAIMS)
    result = run(project, "--embed-dtype=bf16")
    assert "note: qwen: " not in project.text(result)
    facts = project.result("claims", model="qwen").embedbench.model.facts
    assert facts is not None
    assert (facts.dtype, facts.max_tokens, facts.notices) == ("bf16", 32768, ())
