"""``embedbench list models`` and ``embedbench show``."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pytest_embedbench import catalog
from pytest_embedbench.cli import main
from pytest_embedbench.datasets.spec import DatasetSpec
from pytest_embedbench.models.spec import ModelSpec


def embedbench(*arguments: str, columns: int = 200) -> Result:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(main, arguments)


def shown(name: str, **more: Any) -> dict[str, str]:
    """Each field's text as one line."""
    result = embedbench("show", name, **more)
    assert result.exit_code == 0, result.output
    fields: dict[str, str] = {}
    for line in result.output.splitlines()[1:]:
        if line.startswith("   "):
            *_, last = fields
            fields[last] += f" {line.strip()}"
        else:
            field, _, text = line.strip().partition(" ")
            fields[field] = text
    return {field: text.strip() for field, text in fields.items()}


def test_the_list_has_every_model_and_fits_a_terminal() -> None:
    result = embedbench("list", "models")
    assert result.exit_code == 0, result.output
    header, _, *rows = result.output.splitlines()
    assert header.split() == ["alias", "model", "kind", "dims", "tokens", "size", "licence", "$/1M"]
    assert [row.split()[0] for row in rows] == list(catalog.models())
    assert max(map(len, result.output.splitlines())) <= 120
    cells = {row.split()[0]: row.split()[1:] for row in rows}
    assert cells["qwen3-4b"] == ["Qwen/Qwen3-Embedding-4B", "local", "2,560", "32,768", "4.0B", "apache-2.0"]
    assert cells["openai-3-small"] == [
        *("openai/text-embedding-3-small", "endpoint", "1,536", "8,191", "proprietary", "0.02")
    ]
    assert cells["bm25"] == ["embedbench/bm25", "bm25", "MIT"]


def test_a_prompts_spaces_and_line_breaks_can_be_seen() -> None:
    fields = shown("Qwen3-Embedding-4B")
    assert fields["query_prompt"] == r"'Instruct: {task}\nQuery:'"
    assert fields["document_prompt"] == "''"
    assert shown("bge-m3")["query_prompt"] == "''"


def test_prompts_are_whole_in_a_narrow_terminal() -> None:
    prompt = repr(catalog.models()["bge-small"].query_prompt)
    assert shown("bge-small", columns=40)["query_prompt"] == prompt


def test_all_that_is_known_of_a_model_is_shown() -> None:
    for alias, spec in catalog.models().items():
        default = ModelSpec()
        known = {field for field in ModelSpec.__struct_fields__ if getattr(spec, field) != getattr(default, field)}
        assert set(shown(alias)) == known | {"kind"}
    fields = shown("voyage-4")
    assert (fields["kind"], fields["api_key_env"]) == ("endpoint", "VOYAGE_API_KEY")
    assert (fields["query_parameters"], fields["unsent"]) == ("input_type = query", "dimensions")
    assert (fields["dimensions"], fields["price_per_million_tokens"]) == ("1,024", "0.06")
    assert shown("minilm")["normalized"] == "yes"


def test_long_facts_are_wrapped() -> None:
    result = embedbench("show", "qwen3-4b", columns=80)
    assert max(map(len, result.output.splitlines())) <= 80
    assert shown("qwen3-4b", columns=80)["languages"] == ", ".join(catalog.models()["qwen3-4b"].languages)


def test_datasets_are_shown_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert embedbench("show", "nfcorpus").output.startswith("NFCorpus (dataset)\n")
    assert shown("nfcorpus")["domain"] == "medical"
    monkeypatch.setattr(catalog, "datasets", lambda: {"minilm": DatasetSpec(domain="sea")})
    both = embedbench("show", "minilm").output
    assert both.startswith("minilm (model)\n")
    assert "\n\nminilm (dataset)\n  domain  sea\n" in both


@pytest.mark.parametrize(
    ("name", "hint"), [("bge-smal", "did you mean 'bge-small'?"), ("nfcorpsu", "did you mean 'NFCorpus'?")]
)
def test_an_unknown_name_is_one_message(name: str, hint: str) -> None:
    result = embedbench("show", name)
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: embedbench show: the catalogue has no {name!r}; {hint}\n")
    assert "Traceback" not in result.output


def test_a_name_near_to_none_gives_a_few() -> None:
    output = embedbench("show", "zzzzzzzz").output
    names = output.partition("known are ")[2].splitlines()[0]
    assert re.fullmatch(r"\S.*(, \S.*){19} and \d+ more", names)


def test_the_list_says_where_a_datasets_files_are(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {
        "packaged": DatasetSpec(path="builtin:"),
        "public": DatasetSpec(hub_dataset="mteb/nfcorpus"),
        "old": DatasetSpec(ir_datasets="beir/nfcorpus/test"),
        "private": DatasetSpec(),
    }
    monkeypatch.setattr(catalog, "datasets", lambda: entries)
    _, _, *rows = embedbench("list", "datasets").output.splitlines()
    assert [row.split(maxsplit=1) for row in rows] == [
        ["packaged", "here"],
        ["public", "Hub"],
        ["old", "ir_datasets"],
        ["private", "give its folder"],
    ]


@pytest.mark.parametrize("arguments", [["show", "qwen3-4b"], ["show", "NFCorpus"], ["list", "models"]])
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom pytest_embedbench.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        "heavy = {'numpy', 'scipy', 'torch', 'transformers', 'matplotlib', 'httpx2', 'jinja2', 'huggingface_hub'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"
