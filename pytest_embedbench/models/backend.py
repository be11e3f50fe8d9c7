"""Backends other than torch for sentence-transformers models: ONNX Runtime and OpenVINO, from the model's own files."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from pytest_embedbench.errors import ModelError, install_command
from pytest_embedbench.models.spec import ModelSpec, NamedModel

DEFAULT_FILES = {"onnx": "model.onnx", "openvino": "openvino_model.xml"}
"""Backend -> the file that sentence-transformers loads by default: in the model's folder, or in a folder of the
backend's name below it."""

FILE_PATTERNS = {"onnx": "*.onnx", "openvino": "openvino*.xml"}
"""Backend -> pattern of all files that it could load."""

OPTIMUM_MODULES = {"onnx": "optimum.onnxruntime", "openvino": "optimum.intel"}
RUNTIME_MODULES = {"onnx": "onnxruntime", "openvino": "openvino"}
"""Backend -> modules that must be installed: the part of optimum that loads the file, and the library that runs it."""


class Backend(NamedTuple):
    """Device and arguments with which sentence-transformers loads a model, and notes on them."""

    device: str
    """Device that the model runs on, as torch names it."""
    arguments: dict[str, Any]
    """Arguments for the model's loader."""
    notices: tuple[str, ...]
    """Notes for the user."""


def backend_patterns(spec: ModelSpec) -> tuple[str, ...]:
    """Return patterns of the files that the backend loads: the graph, and weights that lie beside it."""
    file = spec.backend_file or DEFAULT_FILES[spec.backend]
    # ONNX keeps large weights in model.onnx_data or model.onnx.data, OpenVINO all of them in a .bin of the same name.
    start = file.removesuffix(".xml") + "." if spec.backend == "openvino" else file
    return f"{start}*", f"*/{start}*"


def find_backend(model: NamedModel, folder: Path, device: str, dtype: str) -> Backend:
    """Return how to run the model on its backend.

    Nothing is converted: an export takes minutes and hundreds of megabytes, and its result is another model than the
    files that are here.

    Raises:
        ModelError: the backend is not installed, or the folder has no file for it; the message says how to get them.
    """
    spec, kind = model.spec, model.spec.backend
    if not (_installed(OPTIMUM_MODULES[kind]) and _installed(RUNTIME_MODULES[kind])):
        problem = f"backend {kind!r} needs an extra"
        raise ModelError(problem, where=f"model {model.alias!r}", fix=install_command(kind))
    if not any(path.is_file() for pattern in backend_patterns(spec) for path in folder.glob(f"**/{pattern}")):
        raise _missing_file(model, folder)
    runs_on, arguments, notices = "cpu", dict[str, Any](export=False), list[str]()
    if kind == "onnx":
        # The package onnxruntime has no CUDA, only onnxruntime-gpu has; both are imported under this name.
        cuda = "CUDAExecutionProvider" in import_module("onnxruntime").get_available_providers()
        if device.startswith("cuda") and cuda:
            runs_on = device
        # Always named: sentence-transformers would take the first that is available, e.g. TensorRT.
        arguments["provider"] = "CPUExecutionProvider" if runs_on == "cpu" else "CUDAExecutionProvider"
    if device != runs_on:
        notices.append(f"its backend {kind} runs on the CPU here, not on {device}")
    if dtype:
        notices.append(f"its number format is that of its {kind} file: {dtype} does not change it")
    if spec.backend_file:
        arguments["file_name"] = spec.backend_file
    return Backend(runs_on, arguments, tuple(notices))


def _installed(module: str) -> bool:
    try:
        # Looked up, not imported: these modules of optimum import torch and transformers.
        return find_spec(module) is not None
    except ImportError:  # the package around the module is missing
        return False


def _missing_file(model: NamedModel, folder: Path) -> ModelError:
    spec, kind = model.spec, model.spec.backend
    candidates = sorted(str(path.relative_to(folder)) for path in folder.rglob(FILE_PATTERNS[kind]))
    if candidates:
        fix = f"choose one with backend_file; there are {', '.join(candidates)}"
    else:
        code = f"SentenceTransformer({spec.hub or str(folder)!r}, backend={kind!r}).save_pretrained('FOLDER')"
        fix = f"export it once with {code}, and give that folder as path"
    problem = f"{folder} has no {spec.backend_file or DEFAULT_FILES[kind]}"
    return ModelError(problem, where=f"model {model.alias!r}", fix=fix)
