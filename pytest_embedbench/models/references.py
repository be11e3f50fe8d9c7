"""Files outside a checkpoint's folder that loading it reads: an adapter's base, a tokenizer or code elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, NamedTuple

from pytest_embedbench.core.decoding import DecodingError, decode_json
from pytest_embedbench.core.files import files_below, is_folder
from pytest_embedbench.models.imported_code import Code, source_files
from pytest_embedbench.remote.hub import HUB_ID, HubError, find_cached

MAX_SETTINGS_BYTES = 1_000_000
"""Bytes; larger JSON files are vocabularies, which refer to nothing."""

PLACE_KEY = "name_or_path"
"""End of the keys whose value is a folder or a Hub id that is loaded too: ``base_model_name_or_path``."""

FILE_KEY = "_file"
MODULE_KEY = "path"
PATH_KEYS = (MODULE_KEY, FILE_KEY)
"""Ends of the keys whose value may be a path: ``path`` of a module, ``vocab_file`` of a tokenizer."""

MODULE_FILES = ("modules.json", "router_config.json")
"""Files that name the classes of a checkpoint's modules."""

EXTERNAL_DATA = re.compile(rb"\x0a\x08location\x12")
"""What stands before the length and the name of a file in ONNX's protocol buffers: a pair with the key ``location``."""

MEMORIES = frozenset({"_name_or_path", "name_or_path"})
"""Keys in which transformers notes where a file was once loaded from; nothing is loaded from there."""

BASE_KEY = "base_model_name_or_path"
"""Key of an adapter's base."""

CODE_KEY = "auto_map"
"""Key of the classes that a checkpoint brings along: ``org/name--module.Class`` if they are in another repository."""


class Reference(NamedTuple):
    """Something that a settings file names: a folder or file on this machine, or a repository of the Hub."""

    text: str
    """The reference as the file has it."""
    path: Path | None
    """The folder or file; None where it is not on this machine."""


def references(folder: Path, patterns: Sequence[str], *, code: bool) -> list[Reference]:
    """Return what the settings in a checkpoint's folder refer to outside of it, in a stable order.

    A reference to the Hub is looked up in the Hub's cache, from which such files are loaded. Nothing is downloaded.

    Args:
        folder: the checkpoint.
        patterns: patterns of the files that loading needs, for repositories of the Hub.
        code: whether code of the checkpoint's own is run.
    """
    found: dict[str, Reference] = {module: Reference(module, file) for module, file in module_code(folder).own.items()}
    for graph in sorted(files_below(folder, [pattern for pattern in patterns if ".onnx" in pattern])):
        for name in _external_data(graph):
            weights = graph.parent / name
            found[f"{graph.name}: {name}"] = Reference(f"{graph.name}: {name}", weights if weights.is_file() else None)
    for file in sorted(files_below(folder, ["*.json"])):
        for key, text, revision in _mentions(file):
            if key in MEMORIES:
                continue
            if path := _outside(key, text, file, folder):
                found[text] = Reference(text, path)
            elif key == CODE_KEY and code and "--" in text:
                found[text] = Reference(text, _from_cache(text.partition("--")[0], "", ["*.py"]))
            elif key.endswith(PLACE_KEY) and HUB_ID.fullmatch(text):
                # transformers reads the main branch, other tools the revision beside the name: either may have changed.
                for name in dict.fromkeys(["", revision]):
                    found[f"{text}@{name}"] = Reference(f"{text}@{name}", _from_cache(text, name, patterns))
    return [found[text] for text in sorted(found)]


class CodeReference(NamedTuple):
    """Python code that a checkpoint names."""

    settings: Path
    """The file that names it."""
    file: str
    """The code's file."""
    repository: str
    """The Hub's repository that has it; empty if it lies in the checkpoint's folder."""


def code_references(folder: Path) -> list[CodeReference]:
    """Return the code that a checkpoint's settings name, for its configuration, tokenizer, model and modules."""
    found: dict[CodeReference, None] = {}
    for file in sorted(files_below(folder, ["*.json"])):
        for key, text, _ in _mentions(file):
            is_module = file.name == "modules.json" and key == "type" and not text.startswith("sentence_transformers.")
            if (key == CODE_KEY or is_module) and "." in text:
                repository, _, name = text.rpartition("--")
                module = name.rpartition(".")[0].replace(".", "/")
                found[CodeReference(file, f"{module}.py", repository)] = None
    return list(found)


def needed_repositories(folder: Path, patterns: Sequence[str], *, code: bool) -> dict[str, tuple[Path, Sequence[str]]]:
    """Return the Hub's repositories that loading a checkpoint needs beside its own.

    Args:
        folder: the checkpoint.
        patterns: patterns of the files of a model.
        code: whether code of the checkpoint's own is run.

    Returns:
        Repository -> the settings file that names it, and patterns of the files that are needed of it.
    """
    needed: dict[str, tuple[Path, Sequence[str]]] = {}
    for file in sorted(files_below(folder, ["adapter_config.json"])):
        for key, text, _ in _mentions(file):
            if key == BASE_KEY and HUB_ID.fullmatch(text) and not is_folder(Path(text)):
                needed[text] = file, patterns
    for reference in code_references(folder) if code else ():
        if reference.repository:
            needed.setdefault(reference.repository, (reference.settings, ["*.py"]))
    return needed


def module_code(folder: Path) -> Code:
    """Return the code of a checkpoint's modules whose classes are neither its own nor sentence-transformers'."""
    classes: list[str] = []
    for file in files_below(folder, MODULE_FILES):
        try:
            content: Any = decode_json(file.read_bytes(), object)
        except (OSError, DecodingError):
            continue
        # modules.json is a list of modules, a router's file has the classes of its modules by name.
        if isinstance(content, list):
            classes += [str(module.get("type")) for module in content if isinstance(module, dict)]
        elif isinstance(content, dict) and isinstance(content.get("types"), dict):
            classes += map(str, content["types"].values())
    modules = {name.rpartition(".")[0] for name in classes} - {""}
    # A module in the folder itself is one of the checkpoint's own files.
    return source_files(
        name
        for name in sorted(modules)
        if not name.startswith("sentence_transformers.") and not (folder / f"{name.partition('.')[0]}.py").is_file()
    )


def _external_data(graph: Path) -> set[str]:
    """Return the names of files in which an ONNX graph keeps weights, relative to its own folder."""
    with graph.open("rb") as file:
        if not graph.stat().st_size:
            return set()
        with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            places = [match.end() for match in EXTERNAL_DATA.finditer(content)]
            names = {content[at + 1 : at + 1 + content[at]] for at in places if at < len(content)}
    return {name.decode(errors="replace") for name in names if name and b"\0" not in name}


def _mentions(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield every text in a settings file with its key, and with the revision that stands beside it."""
    try:
        if file.stat().st_size > MAX_SETTINGS_BYTES:
            return
        content: object = decode_json(file.read_bytes(), object)
        found = list(_texts("", content, ""))
    except (OSError, DecodingError, RecursionError):
        return  # whatever loads it reports what is wrong
    yield from found


def _texts(key: str, value: Any, revision: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, str):
        yield key, value, revision
    elif isinstance(value, dict):
        beside = str(value.get("revision") or "")
        for name, inner in value.items():
            # The classes of an auto_map have keys of their own, below its key.
            yield from _texts(CODE_KEY if key == CODE_KEY else name, inner, beside)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(key, inner, revision)


def _outside(key: str, text: str, file: Path, folder: Path) -> Path | None:
    """Return the existing path outside of ``folder`` that a text names: from the working folder or that of its file."""
    if not text or not key.endswith((PLACE_KEY, *PATH_KEYS)):
        return None
    home = folder.resolve()
    # A module's path starts at its checkpoint; others start where the process runs, as for transformers.
    for place in (file.parent,) if key == MODULE_KEY else (Path.cwd(), file.parent):
        try:
            path = place / Path(text).expanduser()
            # Only a file can be named by a key of files: "cache_file" = "." must not have a whole disk read.
            if not (path.is_file() or (path.is_dir() and not key.endswith(FILE_KEY))):
                continue
            real = path.resolve()
        except (OSError, ValueError, RuntimeError):  # too long for a path, or with a zero byte; no home folder
            continue
        if not (real.is_relative_to(home) or home.is_relative_to(real)):
            return path
    return None


def _from_cache(repository: str, revision: str, patterns: Sequence[str]) -> Path | None:
    try:
        return find_cached(repository, kind="model", revision=revision, patterns=patterns).folder
    except HubError:
        return None
