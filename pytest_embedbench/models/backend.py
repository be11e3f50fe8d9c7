"""What runs a sentence-transformers model where torch does not: ONNX Runtime or OpenVINO, from files in its folder."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.spec import ModelSpec, NamedModel

USUAL = {"onnx": "model.onnx", "openvino": "openvino_model.xml"}
"""The file that sentence-transformers loads where none is named: in the model's folder, or below in the backend's."""

ANY = {"onnx": "*.onnx", "openvino": "openvino*.xml"}

LIBRARIES = {"onnx": "optimum.onnxruntime", "openvino": "optimum.intel"}
RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino"}


class Backend(NamedTuple):
    """How to ask sentence-transformers for it: where it runs and what goes to its loader."""

    device: str
    arguments: dict[str, Any]
    notices: tuple[str, ...]


def backend_patterns(spec: ModelSpec) -> tuple[str, ...]:
    """Patterns of the files that the backend loads: the graph, and weights that lie beside it."""
    file = spec.backend_file or USUAL[spec.backend]
    # ONNX keeps large weights in model.onnx_data or model.onnx.data, OpenVINO all of them in a .bin of the same name.
    start = file.removesuffix(".xml") + "." if spec.backend == "openvino" else file
    return f"{start}*", f"*/{start}*"


def backend(model: NamedModel, folder: Path, device: str, dtype: str) -> Backend:
    """Find out what it takes to run the model on its backend.

    Nothing is converted: an export takes minutes and hundreds of megabytes, and is another model than the one whose
    files are here.

    Raises:
        ModelError: the backend is not installed, or the folder has no file for it; the message says how to get them.
    """
    spec, kind = model.spec, model.spec.backend
    if not (_installed(LIBRARIES[kind]) and _installed(RUNTIMES[kind])):
        message = f"model {model.alias!r}: backend {kind!r} needs an extra"
        raise ModelError(f"{message}\n  fix: pip install 'pytest-embedbench[{kind}]'")
    if not any(path.is_file() for pattern in backend_patterns(spec) for path in folder.glob(f"**/{pattern}")):
        raise ModelError(_without_file(model, folder))
    runs_on, arguments, notices = "cpu", dict[str, Any](export=False), list[str]()
    if kind == "onnx":
        cuda = "CUDAExecutionProvider" in import_module("onnxruntime").get_available_providers()
        if device.startswith("cuda") and cuda:
            runs_on = device
        arguments["provider"] = "CPUExecutionProvider" if runs_on == "cpu" else "CUDAExecutionProvider"
    if device != runs_on:
        notices.append(f"its backend {kind} runs on the CPU here, not on {device}")
    if dtype:
        notices.append(f"its number format is that of its {kind} file: {dtype} does not change it")
    if spec.backend_file:
        arguments["file_name"] = spec.backend_file
    return Backend(runs_on, arguments, tuple(notices))


def _installed(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except ImportError:  # of the package around it
        return False


def _without_file(model: NamedModel, folder: Path) -> str:
    spec, kind = model.spec, model.spec.backend
    there = sorted(str(path.relative_to(folder)) for path in folder.rglob(ANY[kind]))
    message = f"model {model.alias!r}: {folder} has no {spec.backend_file or USUAL[kind]}"
    if there:
        return f"{message}\n  fix: choose one with backend_file; there are {', '.join(there)}"
    place = spec.hub or str(folder)
    code = f"SentenceTransformer({place!r}, backend={kind!r}).save_pretrained('FOLDER')"
    return f"{message}\n  fix: export it once with {code}, and give that folder as path"
