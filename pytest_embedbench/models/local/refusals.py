"""Checkpoints that are not loaded: pickled weights, code of their own, adapters without what they need."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_embedbench.core.decoding import DecodingError, decode_json
from pytest_embedbench.core.files import LFS_POINTER
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.references import CodeReference, code_references

if TYPE_CHECKING:
    from pytest_embedbench.models.spec import NamedModel

PICKLES = "pytorch_model*.bin*"
"""Pattern of weights in torch's old format, whole, in parts, and the list of the parts. Loading it may run code."""

SAFE = "*.safetensors"
TRANSFORMER = "Transformer"


def refuse_pickles(model: NamedModel, folder: Path) -> None:
    """Refuse a checkpoint of which a module has its weights in torch's old format alone.

    Raises:
        ModelError: there is such a module; the fix is the command that converts it.
    """
    for place in _module_folders(folder, transformer=model.spec.backend == "torch"):
        pickles = sorted(path.name for path in place.glob(PICKLES))
        if pickles and not any(place.glob(SAFE)):
            problem = f"{place / pickles[0]}: weights are read from safetensors only, since this format may run code"
            raise ModelError(problem, where=f"model {model.alias!r}", fix=_conversion(model, folder))


def load_error(model: NamedModel, folder: Path, error: Exception) -> ModelError:
    """Return the error for a checkpoint that sentence-transformers could not load."""
    where = f"model {model.alias!r}"
    code = code_references(folder)
    if not model.spec.trust_remote_code and code and "trust_remote_code" in str(error):
        fix = "read it, then allow it with trust_remote_code = true in the model's definition, [models.NAME]"
        return ModelError(f"loading it runs code: {_named(code)}", where=where, fix=fix)
    if model.spec.backend == "torch" and _lacks_weights(folder):
        fix = "give a folder with its weights"
        if not model.spec.path:
            fix = f"if the repository has pytorch_model.bin: {_conversion(model, folder)}"
        return ModelError(f"{folder} has no weights in safetensors", where=where, fix=fix)
    for path in sorted(folder.rglob(SAFE)):
        if damage := _damage(path):
            return ModelError(f"{path}: {damage[0]}", where=where, fix=damage[1])
    return ModelError(f"{folder} does not load: {error}", where=where)


def _damage(path: Path) -> tuple[str, str] | None:
    """Return what is wrong with a file of weights, and the fix; None if it can be read."""
    from safetensors import SafetensorError, safe_open

    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER.encode():
            return "a pointer of Git LFS stands in its place", f"git -C {shlex.quote(str(path.parent))} lfs pull"
    try:
        with safe_open(path, framework="numpy"):
            return None
    except SafetensorError as error:
        size = path.stat().st_size
        return f"the file ({size:,} bytes) is cut off or damaged: {error}", "copy or download it again"


def _module_folders(folder: Path, *, transformer: bool) -> Iterator[Path]:
    """Yield the folders of a checkpoint's modules; without the transformer's if another backend runs it."""
    try:
        modules = decode_json((folder / "modules.json").read_bytes(), list[dict[str, Any]])
    except (OSError, DecodingError):
        modules = [{}]  # saved by transformers alone
    for module in modules:
        place = folder / str(module.get("path", ""))
        if transformer or str(module.get("type", TRANSFORMER)).rpartition(".")[2] != TRANSFORMER:
            yield place
        if (place / "router_config.json").is_file():
            yield from (path for path in sorted(place.iterdir()) if path.is_dir())


def _lacks_weights(folder: Path) -> bool:
    """Whether a transformer's folder has no weights, and those of no adapter."""
    layers = set(_module_folders(folder, transformer=False))
    places = [place for place in _module_folders(folder, transformer=True) if place not in layers]
    return any(not any(place.glob(SAFE)) and not any(place.glob("adapter_model.*")) for place in places)


def _named(code: Sequence[CodeReference]) -> str:
    files: dict[tuple[Path, str], list[str]] = {}
    for reference in code:
        files.setdefault((reference.settings, reference.repository), []).append(reference.file)
    return "; ".join(
        f"{settings} names {' and '.join(names)} of {f'the repository {repository}' if repository else 'its folder'}"
        for (settings, repository), names in files.items()
    )


def _conversion(model: NamedModel, folder: Path) -> str:
    spec = model.spec
    source, target = (spec.hub, spec.hub.rpartition("/")[2]) if spec.hub and not spec.path else (folder, folder)
    options = {"device": "cpu"} | ({"revision": spec.revision} if spec.revision and source == spec.hub else {})
    arguments = ", ".join(
        [json.dumps(str(source)), *(f"{name}={json.dumps(value)}" for name, value in options.items())]
    )
    trust = ", trust_remote_code=True" if spec.trust_remote_code else ""
    target = f"{target}-safetensors"
    code = f"from sentence_transformers import SentenceTransformer as S; S({arguments}{trust})"
    command = f"python -c {shlex.quote(f'{code}.save_pretrained({json.dumps(target)})')}"
    return f"convert it once with {command}, and give {target} as path"
