"""What loading a checkpoint reads outside of its folder belongs to its fingerprint: change it, and it is another model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_embedbench.models.references import references
from pytest_embedbench.models.registry import locate
from pytest_embedbench.models.source import MODEL_FILES, fingerprint_checkpoint, fingerprint_folder
from pytest_embedbench.models.spec import ModelSpec, NamedModel

COMMITS = ("0123456789abcdef0123456789abcdef01234567", "89abcdef0123456789abcdef0123456789abcdef")


def write(folder: Path, **files: str) -> Path:
    """Write files, whose names have __ for a slash and end in .json where they have no ending."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path = path if path.suffix else path.with_suffix(".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def weights(folder: Path, text: str) -> None:
    (folder / "model.safetensors").write_text(text, "utf-8")


def fingerprint(folder: Path, *, code: bool = False) -> str:
    spec = ModelSpec(path=str(folder), trust_remote_code=code)
    return locate(NamedModel(alias="mine", spec=spec)).fingerprint


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of the Hub, in place of the user's; nothing is downloaded."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def cached(hub: Path, repository: str, commit: str, ref: str = "main", **files: str) -> Path:
    """Put a repository at a commit into the Hub's cache."""
    home = hub / f"models--{repository.replace('/', '--')}"
    (home / "refs").mkdir(parents=True, exist_ok=True)
    (home / "refs" / ref).write_text(commit, "utf-8")
    return write(home / "snapshots" / commit, **files)


Change = Callable[[Path], object]

ELSEWHERE: dict[str, tuple[dict[str, str], dict[str, str], Change]] = {
    "adapter's base": (
        {"adapter_config": '{"base_model_name_or_path": "BASE"}'},
        {"config": "{}", "model.safetensors": "base"},
        lambda base: weights(base, "another base"),
    ),
    "adapter's base, below the first module's folder": (
        {"0_Transformer__adapter_config": '{"base_model_name_or_path": "BASE", "revision": null}'},
        {"config": "{}", "model.safetensors": "base"},
        lambda base: weights(base, "another base"),
    ),
    "base of the base": (
        {"adapter_config": '{"base_model_name_or_path": "BASE"}'},
        {"adapter_config": '{"base_model_name_or_path": "../deeper"}'},
        lambda base: weights(base.parent / "deeper", "another one"),
    ),
    "settings of the base": (
        {"adapter_config": '{"base_model_name_or_path": "BASE"}'},
        {"config": "{}"},
        lambda base: write(base, config='{"layer_norm_eps": 1}'),
    ),
    "tokenizer elsewhere": (
        {"sentence_bert_config": '{"tokenizer_name_or_path": "BASE"}'},
        {"tokenizer": "{}"},
        lambda base: write(base, tokenizer='{"lower": 1}'),
    ),
    "file of a tokenizer elsewhere": (
        {"tokenizer_config": '{"vocab_file": "BASE/vocab.txt"}'},
        {"vocab.txt": "a"},
        lambda base: write(base, **{"vocab.txt": "b"}),
    ),
    "module elsewhere": (
        {"modules": '[{"path": "../base", "type": "sentence_transformers.models.Pooling"}]'},
        {"config": "{}"},
        lambda base: write(base, config='{"mode": "cls"}'),
    ),
    "file behind a link": (
        {"modules": "[]"},
        {"model.safetensors": "base"},
        lambda base: weights(base, "another base"),
    ),
    "folder behind a link": (
        {"modules": "[]"},
        {"config": "{}"},
        lambda base: write(base, config='{"mode": "cls"}'),
    ),
}


@pytest.mark.parametrize("case", ELSEWHERE)
def test_what_lies_elsewhere_changes_the_fingerprint(tmp_path: Path, case: str) -> None:
    files, there, change = ELSEWHERE[case]
    base = write(tmp_path / "base", **there)
    (tmp_path / "deeper").mkdir()
    weights(tmp_path / "deeper", "deeper")
    folder = write(tmp_path / "mine", **{name: text.replace("BASE", str(base)) for name, text in files.items()})
    if case == "file behind a link":
        (folder / "model.safetensors").symlink_to(base / "model.safetensors")
    if case == "folder behind a link":
        (folder / "1_Pooling").symlink_to(base)
    before = fingerprint(folder)
    assert fingerprint(folder) == before
    change(base)
    assert fingerprint(folder) != before


def test_a_base_relative_to_the_working_folder_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "bases" / "one", **{"model.safetensors": "base"})
    folder = write(tmp_path / "mine", adapter_config='{"base_model_name_or_path": "bases/one"}')
    before = fingerprint(folder)
    weights(tmp_path / "bases" / "one", "another base")
    assert fingerprint(folder) != before


def test_a_base_in_the_hubs_cache_counts_by_its_content(tmp_path: Path, hub: Path) -> None:
    folder = write(tmp_path / "mine", adapter_config='{"base_model_name_or_path": "org/base"}')
    cached(hub, "org/base", COMMITS[0], config="{}", **{"model.safetensors": "base"})
    first = fingerprint(folder)
    cached(hub, "org/base", COMMITS[1], config="{}", **{"model.safetensors": "another base"})
    second = fingerprint(folder)
    cached(hub, "org/base", COMMITS[0])
    assert fingerprint(folder) == first, "main is the first commit again"
    assert first != second


def test_a_base_counts_at_its_revision_too(tmp_path: Path, hub: Path) -> None:
    folder = write(tmp_path / "mine", adapter_config='{"base_model_name_or_path": "org/base", "revision": "v1"}')
    cached(hub, "org/base", COMMITS[0], config="{}")
    prints = {fingerprint(folder)}
    for commit, text in zip(COMMITS, ("base", "another"), strict=True):
        cached(hub, "org/base", commit, "v1", **{"model.safetensors": text})
        prints.add(fingerprint(folder))
    assert len(prints) == 3


def test_code_in_another_repository_counts_where_it_is_run(tmp_path: Path, hub: Path) -> None:
    folder = write(tmp_path / "mine", config=json.dumps({"auto_map": {"AutoModel": "org/code--modeling.Model"}}))
    cached(hub, "org/code", COMMITS[0], **{"modeling.py": "one = 1"})
    run, plain = fingerprint(folder, code=True), fingerprint(folder)
    cached(hub, "org/code", COMMITS[1], **{"modeling.py": "one = 2"})
    assert fingerprint(folder, code=True) != run
    assert fingerprint(folder) == plain


@pytest.mark.parametrize(
    "files",
    [
        {"config": '{"_name_or_path": "BASE", "name_or_path": "BASE"}'},
        {"config": '{"torch_dtype": "BASE", "cache_file": "BASE"}'},
        {"config": '{"model_path": "/", "path": "..", "vocab_file": "."}'},
        {"config": '{"model_path": "", "path": 3, "vocab_file": "\\u0000", "x_path": "~nobody-here/x"}'},
        {"modules": '[{"path": "1_Pooling"}, {"path": ""}]', "1_Pooling__config": "{}"},
        {"config": "not JSON"},
        {"vocab": json.dumps({"path": "BASE", "more": "x" * 1_000_000})},
    ],
    ids=["where it came from", "no path", "folders around it", "no such paths", "inside", "damaged", "a vocabulary"],
)
def test_nothing_else_is_a_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    base = write(tmp_path / "base", config="{}")
    write(tmp_path / "1_Pooling", config="{}")
    folder = write(tmp_path / "mine", **{name: text.replace("BASE", str(base)) for name, text in files.items()})
    for place in (folder, tmp_path):
        monkeypatch.chdir(place)
        assert references(folder, MODEL_FILES, code=True) == []
    assert fingerprint_checkpoint(folder) == fingerprint_folder(folder)


def test_references_and_links_in_circles_end(tmp_path: Path) -> None:
    one = write(tmp_path / "one", adapter_config=json.dumps({"base_model_name_or_path": str(tmp_path / "two")}))
    write(tmp_path / "two", adapter_config=json.dumps({"base_model_name_or_path": str(one)}))
    (one / "again").symlink_to(one)
    (one / "also").symlink_to(tmp_path / "two")
    before = fingerprint(one)
    weights(tmp_path / "two", "base")
    assert fingerprint(one) != before


@pytest.mark.parametrize("file", ["2_Dense/pytorch_model.bin", "adapter_model.bin", "qwen.tiktoken", "bpe.codes"])
def test_files_that_are_read_where_they_are_count(tmp_path: Path, file: str) -> None:
    folder = write(tmp_path / "mine", config="{}")
    before = fingerprint(folder)
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text("weights", "utf-8")
    assert fingerprint(folder) != before


def test_an_onnx_graphs_weights_count_under_any_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", config="{}", **{"onnx__weights.data": "one", "onnx__model.onnx": ""})
    # A tensor's external_data in ONNX: a pair of the key "location" and a file's name, each with its length.
    (folder / "onnx" / "model.onnx").write_bytes(b"\x08\x07\x0a\x08location\x12\x0cweights.data\x1a")
    spec = ModelSpec(path=str(folder), backend="onnx", backend_file="onnx/model.onnx")
    model = NamedModel(alias="mine", spec=spec)
    before = locate(model).fingerprint
    plain = fingerprint(folder)
    (folder / "onnx" / "weights.data").write_text("two", "utf-8")
    assert locate(model).fingerprint != before
    assert fingerprint(folder) == plain, "torch does not read it"


@pytest.mark.parametrize("router", [False, True])
def test_code_of_modules_from_a_package_of_ones_own_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, router: bool
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path / "package_of_a_test", **{"pooling.py": "import msgspec\nclass Own: ...\n"})
    name = "package_of_a_test.pooling.Own"
    folder = write(
        tmp_path / "mine", modules=json.dumps([{"path": "", "type": "sentence_transformers.models.Pooling"}])
    )
    plain = fingerprint(folder)
    if router:
        write(folder, **{"0__router_config": json.dumps({"types": {"own": name}})})
    else:
        write(folder, modules=json.dumps([{"path": "", "type": name}]))
    before = locate(NamedModel(alias="mine", spec=ModelSpec(path=str(folder))))
    assert before.fingerprint != plain
    assert "msgspec" in before.software
    write(tmp_path / "package_of_a_test", **{"pooling.py": "import msgspec\nclass Own:\n    scale = 2\n"})
    assert fingerprint(folder) != before.fingerprint
