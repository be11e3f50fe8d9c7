"""``embedbench``: cards from stored results, and what the catalogue holds; no model is run."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from pytest_embedbench.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Project


def embedbench(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_card_makes_the_same_card_as_the_run(project: Project) -> None:
    project.data()
    assert project.run("--embed-model=minilm", "--embed-dataset=facts", "-k", "ndcg").ret == 0
    done = embedbench("card", "embedbench-out/results", "--out", "again")
    assert done.exit_code == 0, done.output
    page = project.folder / "again" / "sentence-transformers__all-MiniLM-L6-v2.md"
    assert done.output.split() == ["again/sentence-transformers__all-MiniLM-L6-v2.md"]
    assert page.read_text("utf-8") == project.card_text()


def test_the_result_file_has_mtebs_fields(project: Project) -> None:
    project.data()
    assert project.run("--embed-model=minilm", "--embed-dataset=facts", "-k", "ndcg").ret == 0
    data = json.loads(project.result_path().read_text("utf-8"))
    (scores,) = data["scores"]["test"]
    assert data["task_name"] == "facts"
    assert scores["ndcg_at_10"] == scores["main_score"] == data["embedbench"]["means"]["ndcg@10"]
    assert {"hf_subset", "languages", "map_at_10", "mrr_at_10", "recall_at_100", "precision_at_5"} <= set(scores)
    assert all("@" not in name for name in scores)
    assert len(data["dataset_revision"]) == 40


def test_card_with_a_template_of_ones_own(project: Project) -> None:
    pytest.importorskip("bm25s")
    project.data()
    project.run("--embed-model=bm25", "--embed-dataset=facts", "-k", "ndcg")
    project.write("mine.j2", "{{ card.title }}!\n")
    assert embedbench("card", "embedbench-out/results", "--template", "mine.j2").exit_code == 0
    assert (project.folder / "cards" / "embedbench__bm25.md").read_text("utf-8") == "embedbench/bm25!\n"


def test_errors_are_one_message(project: Project) -> None:
    (project.folder / "empty").mkdir()
    project.write("bad/facts.json", "{")
    project.write("wrong.j2", "{{ card.nonsense }}\n")
    for arguments, message in (
        (("card", "empty"), "Error: empty holds no results"),
        (("card", "bad"), "not a pytest-embedbench result"),
        (("card", "nowhere"), "nowhere"),
        (("list", "nonsense"), "nonsense"),
    ):
        done = embedbench(*arguments)
        assert done.exit_code != 0
        assert message in done.output
        assert "Traceback" not in done.output


def test_list(project: Project) -> None:
    models = embedbench("list", "models")
    assert models.exit_code == 0
    assert "minilm" in models.output
    assert "sentence-transformers/all-MiniLM-L6-v2" in models.output
    datasets = embedbench("list", "datasets")
    assert "NFCorpus" in datasets.output
    assert "give its folder" in datasets.output


@pytest.mark.parametrize(
    "arguments", [("list", "models"), ("--help",), ("card", "--help"), ("--version",)], ids=" ".join
)
def test_the_installed_command_imports_no_model_library(project: Project, arguments: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom pytest_embedbench.cli import main\n"
        "main(standalone_mode=False, prog_name='embedbench')\n"
        "print(sorted({'torch', 'transformers', 'numpy', 'pytest'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert len(done.stdout.splitlines()) > 1
