"""Checkpoints that are refused: pickled weights, with the command that converts them; code that nobody allowed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.source import locate_checkpoint
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from tests.models.conftest import change

TEXTS = ["how do whales breathe", ""]


@pytest.fixture(scope="module")
def saved(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a transformer, pooling and a layer; tests change copies of it."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    torch.manual_seed(4)
    modules: list[Any] = [Transformer(str(tiny_folder)), Pooling(32, "cls"), Dense(32, 16)]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder), create_model_card=False)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "it's a model"))


def load(folder: Path, **keys: Any) -> SentenceTransformerModel:
    named = NamedModel(alias="mine", spec=ModelSpec(path=str(folder), **keys))
    return SentenceTransformerModel(named, folder, device="cpu", dtype="fp32")


def pickle(place: Path, name: str = "pytorch_model.bin") -> None:
    torch.save(load_file(place / "model.safetensors"), place / name)
    (place / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("content", "problem", "fix"),
    [
        (None, r"the file \(2,000 bytes\) is cut off or damaged: ", "copy or download it again"),
        (b"", r"the file \(0 bytes\) is cut off or damaged: ", "copy or download it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n", "a pointer of Git LFS", "lfs pull"),
    ],
    ids=["cut", "empty", "pointer"],
)
@pytest.mark.parametrize("place", ["", "2_Dense"])
def test_damaged_weights_are_named(folder: Path, place: str, content: bytes | None, problem: str, fix: str) -> None:
    weights = folder / place / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000] if content is None else content)
    with pytest.raises(ModelError, match=problem) as caught:
        load(folder)
    assert str(weights) in caught.value.problem
    assert caught.value.fix.endswith(fix)


@pytest.mark.parametrize("place", ["", "2_Dense"])
def test_pickled_weights_are_refused_with_a_command_that_converts_them(folder: Path, saved: Path, place: str) -> None:
    pickle(folder / place)
    with pytest.raises(ModelError, match=r"pytorch_model.bin: weights are read from safetensors only") as caught:
        load(folder)
    assert str(folder / place) in caught.value.problem
    command = re.search(r"convert it once with (python -c .*), and give (.*) as path", caught.value.fix)
    assert command
    python, *arguments = shlex.split(command[1])
    assert python == "python"
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    converted = Path(command[2])
    model = load(converted)
    found = model.forward(model.prepare(TEXTS, "query"), "query")
    np.testing.assert_allclose(found, SentenceTransformer(str(saved), device="cpu").encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize("name", ["pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"])
def test_pickled_weights_in_parts_are_refused_too(folder: Path, name: str) -> None:
    pickle(folder, name)
    with pytest.raises(ModelError, match="safetensors only"):
        load(folder)


def test_pickled_weights_beside_safe_ones_are_no_matter(folder: Path) -> None:
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "checkpoint-100").mkdir()
    torch.save({}, folder / "checkpoint-100" / "pytorch_model.bin")
    assert load(folder).facts.dimensions == 16


def test_a_folder_without_weights_says_so(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="has no weights in safetensors\n  fix: give a folder with its weights"):
        load(folder)
    from_hub = NamedModel(alias="hub", spec=ModelSpec(hub="org/name", revision="abc"))
    with pytest.raises(ModelError) as caught:
        SentenceTransformerModel(from_hub, folder, device="cpu", dtype="fp32")
    assert 'S("org/name", device="cpu", revision="abc").save_pretrained("name-safetensors")' in caught.value.fix


CODE = {"AutoConfig": "conf.MyConfig", "AutoModel": "modeling_my.MyModel"}
ELSEWHERE = {name: f"org/code--{code}" for name, code in CODE.items()}


def module_type(folder: Path, name: str) -> None:
    file = folder / "modules.json"
    modules = json.loads(file.read_text())
    modules[0]["type"] = name
    file.write_text(json.dumps(modules))


CASES: dict[str, tuple[Callable[[Path], None], str]] = {
    "in the folder": (
        lambda folder: change(folder / "config.json", model_type="mine", auto_map=CODE),
        "config.json names conf.py and modeling_my.py of its folder",
    ),
    "in a second repository": (
        lambda folder: change(folder / "config.json", model_type="mine", auto_map=ELSEWHERE),
        "config.json names conf.py and modeling_my.py of the repository org/code",
    ),
    "a module in the folder": (
        lambda folder: module_type(folder, "custom_st.Transformer"),
        "modules.json names custom_st.py of its folder",
    ),
    "a module in a second repository": (
        lambda folder: module_type(folder, "org/code--custom_st.Transformer"),
        "modules.json names custom_st.py of the repository org/code",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_code_is_refused_with_its_file_and_repository(folder: Path, case: str) -> None:
    spoil, said = CASES[case]
    spoil(folder)
    for name in ("conf.py", "modeling_my.py", "custom_st.py"):
        (folder / name).write_text("raise SystemExit('it ran')")
    with pytest.raises(ModelError) as caught:
        load(folder)
    assert caught.value.problem == f"loading it runs code: {folder}/{said}"
    assert "trust_remote_code = true" in caught.value.fix


def test_code_that_transformers_has_itself_is_not_needed(folder: Path) -> None:
    change(folder / "config.json", auto_map={"AutoModel": "org/code--modeling_bert.BertModel"})
    assert load(folder).facts.architecture == "bert"


def test_allowed_code_of_a_second_repository_is_fetched_or_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    change(folder / "config.json", model_type="mine", auto_map=ELSEWHERE)
    named = NamedModel(alias="mine", spec=ModelSpec(path=str(folder), trust_remote_code=True))
    with pytest.raises(ModelError) as caught:
        locate_checkpoint(named)
    assert f"{folder}/config.json needs the repository org/code" in caught.value.problem
    assert "hf download org/code" in caught.value.fix
    locate_checkpoint(
        NamedModel(alias="mine", spec=ModelSpec(path=str(folder)))
    )  # code that may not run is not fetched
