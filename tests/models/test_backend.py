"""ONNX and OpenVINO run MiniLM as torch does; and what stands in the way is said before anything is loaded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models import backend as backends
from pytest_embedbench.models.load import default_dtype, load_model
from pytest_embedbench.models.source import fingerprint_folder, model_file_patterns
from pytest_embedbench.models.spec import ModelSpec, NamedModel

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel

FILES = {"onnx": "onnx/model.onnx", "openvino": "openvino/openvino_model.xml"}
LIBRARIES = {"onnx": "optimum.onnxruntime", "openvino": "optimum.intel"}
TEXTS = ["short", "", "A sentence, with punctuation; and a number: 1234.", "naïve café — 日本語 🙂", "long " * 400]

EXPORT = """
import sys
from sentence_transformers import SentenceTransformer
checkpoint, backend, folder = sys.argv[1:]
SentenceTransformer(checkpoint, backend=backend, device="cpu").save_pretrained(folder, create_model_card=False)
"""

Exported = Callable[[str], Path]


@pytest.fixture(scope="session")
def exported(minilm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Return a function that exports MiniLM for a backend, once, where the backend is installed."""
    where = tmp_path_factory.mktemp("exported")

    @cache
    def export(kind: str) -> Path:
        pytest.importorskip(
            LIBRARIES[kind], reason=f"needs {LIBRARIES[kind]}, of which no release takes the transformers tested here"
        )
        folder = where / kind
        # In a process of its own: exporting warns of much, and leaves temporary files to the garbage collector.
        subprocess.run([sys.executable, "-c", EXPORT, str(minilm_folder), kind, str(folder)], check=True)
        return folder

    return export


def named(folder: Path, kind: str, **keys: Any) -> NamedModel:
    return NamedModel(alias="mine", spec=ModelSpec(path=str(folder), backend=kind, **keys))  # type: ignore[arg-type]


def load(folder: Path, kind: str, *, dtype: str = "", device: str = "cpu", **keys: Any) -> Any:
    return load_model(named(folder, kind, **keys), device=device, dtype=dtype)


def vectors(model: Any, role: Role = "document", batch_tokens: int = 300) -> Any:
    encoded = encode(model, TEXTS, role, batch_tokens=batch_tokens, progress=SilentProgress())
    return encoded.vectors[encoded.indices]


@pytest.mark.parametrize("kind", FILES)
def test_vectors_are_torchs(exported: Exported, minilm: SentenceTransformerModel, kind: str) -> None:
    model = load(exported(kind), kind)
    np.testing.assert_allclose(vectors(model), vectors(minilm), atol=1e-4)
    np.testing.assert_allclose(vectors(model, batch_tokens=5000), vectors(model), atol=1e-5)
    facts, torchs = model.facts, minilm.facts
    assert (facts.backend, torchs.backend) == (kind, "")
    assert (facts.dtype, facts.attention, facts.parameters, facts.notices) == ("", "", None, ())
    assert (facts.dimensions, facts.normalized, facts.pooling) == (384, True, "mean")
    assert (facts.max_tokens, facts.padding_side, facts.architecture) == (256, "right", "bert")


@pytest.mark.parametrize("kind", FILES)
def test_prompts_and_lengths_work_as_with_torch(exported: Exported, minilm_folder: Path, kind: str) -> None:
    keys: dict[str, Any] = {"query_prompt": "Represent this query: ", "max_seq_length": 16}
    model, torchs = load(exported(kind), kind, **keys), load(minilm_folder, "torch", dtype="fp32", **keys)
    np.testing.assert_allclose(vectors(model, "query"), vectors(torchs, "query"), atol=1e-4)
    assert (model.facts.max_tokens, model.facts.prompts) == (16, torchs.facts.prompts)


@pytest.mark.parametrize("kind", FILES)
def test_the_backends_files_are_what_is_loaded(exported: Exported, tmp_path: Path, kind: str) -> None:
    folder = Path(shutil.copytree(exported(kind), tmp_path / "moved"))
    for file in (folder / FILES[kind]).parent.iterdir():
        file.rename(file.with_name(file.name.replace("model", "model_other")))
    other = FILES[kind].replace("model.", "model_other.")
    with pytest.raises(ModelError, match=f"choose one with backend_file; there are {other}$"):
        load(folder, kind)
    model = load(folder, kind, backend_file=other)
    np.testing.assert_allclose(vectors(model), vectors(load(exported(kind), kind)), atol=1e-6)


@pytest.mark.parametrize("kind", FILES)
def test_what_cannot_be_had_is_told(exported: Exported, kind: str) -> None:
    model = load(exported(kind), kind, dtype="bf16", device="cuda:1")
    assert model.facts.notices == (
        f"its backend {kind} runs on the CPU here, not on cuda:1",
        f"its number format is that of its {kind} file: bf16 does not change it",
    )
    assert (model.facts.device, model.facts.dtype) == ("cpu", "")


# Without the libraries.


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_installed", lambda library: True)


@pytest.mark.parametrize("kind", FILES)
def test_a_missing_extra_is_named(minilm_folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda library: None)
    with pytest.raises(ModelError) as caught:
        load(minilm_folder, kind)
    assert str(caught.value) == (
        f"model 'mine': backend '{kind}' needs an extra\n  fix: pip install 'pytest-embedbench[{kind}]'"
    )


def test_a_library_around_the_missing_one_may_be_missing_too() -> None:
    assert not backends._installed("no_such_library.inner")
    assert backends._installed("json.decoder") == (find_spec("json.decoder") is not None)


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize("kind", FILES)
def test_nothing_is_exported_in_silence(minilm_folder: Path, kind: str) -> None:
    before = sorted(minilm_folder.rglob("*"))
    with pytest.raises(ModelError) as caught:
        load(minilm_folder, kind)
    problem, fix = str(caught.value).split("\n")
    assert problem == f"model 'mine': {minilm_folder} has no {FILES[kind].rpartition('/')[2]}"
    assert fix == (
        f"  fix: export it once with SentenceTransformer({str(minilm_folder)!r}, backend='{kind}')"
        ".save_pretrained('FOLDER'), and give that folder as path"
    )
    with pytest.raises(ModelError, match=r"has no onnx/model_O3\.onnx\n  fix: export it once"):
        load(minilm_folder, "onnx", backend_file="onnx/model_O3.onnx")
    assert sorted(minilm_folder.rglob("*")) == before


@pytest.mark.usefixtures("_installed")
def test_other_files_of_the_backend_are_offered(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    for name in ("model_O2.onnx", "model_qint8.onnx"):
        (tmp_path / "onnx" / name).touch()
    with pytest.raises(ModelError) as caught:
        load(tmp_path, "onnx")
    fix = "fix: choose one with backend_file; there are onnx/model_O2.onnx, onnx/model_qint8.onnx"
    assert str(caught.value) == f"model 'mine': {tmp_path} has no model.onnx\n  {fix}"


# Which files are the model.

CHECKPOINT = (
    "config.json",
    "modules.json",
    "model.safetensors",
    "vocab.txt",
    "2_Dense/model.safetensors",
    "onnx/model.onnx",
    "onnx/model.onnx_data",
    "onnx/model_O3.onnx",
    "openvino/openvino_model.xml",
    "openvino/openvino_model.bin",
    "openvino/openvino_model_int8.xml",
    "openvino/openvino_model_int8.bin",
)
ALWAYS = {"config.json", "modules.json", "vocab.txt", "2_Dense/model.safetensors"}


@pytest.mark.parametrize(
    ("spec", "own"),
    [
        (ModelSpec(), {"model.safetensors"}),
        (ModelSpec(backend="onnx"), {"onnx/model.onnx", "onnx/model.onnx_data"}),
        (ModelSpec(backend="onnx", backend_file="onnx/model_O3.onnx"), {"onnx/model_O3.onnx"}),
        (ModelSpec(backend="openvino"), {"openvino/openvino_model.xml", "openvino/openvino_model.bin"}),
        (
            ModelSpec(backend="openvino", backend_file="openvino/openvino_model_int8.xml"),
            {"openvino/openvino_model_int8.xml", "openvino/openvino_model_int8.bin"},
        ),
    ],
    ids=["torch", "onnx", "an optimized onnx", "openvino", "a quantized openvino"],
)
def test_a_backends_files_are_downloaded_and_fingerprinted_and_no_others(
    tmp_path: Path, spec: ModelSpec, own: set[str]
) -> None:
    from huggingface_hub.utils._paths import filter_repo_objects

    assert set(filter_repo_objects(CHECKPOINT, allow_patterns=list(model_file_patterns(spec)))) == ALWAYS | own
    for file in CHECKPOINT:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(file)
    before = fingerprint_folder(tmp_path, model_file_patterns(spec))
    changing = set()
    for file in CHECKPOINT:
        (tmp_path / file).write_text("other")
        if fingerprint_folder(tmp_path, model_file_patterns(spec)) != before:
            changing.add(file)
        (tmp_path / file).write_text(file)
    assert changing == ALWAYS | own


def test_a_backends_files_have_their_number_format(minilm_folder: Path) -> None:
    assert [default_dtype(named(minilm_folder, kind), "cuda") for kind in FILES] == ["", ""]
