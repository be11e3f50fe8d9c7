"""The files behind a Python function: its module, the modules of the user's own that it imports, and libraries."""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import NamedTuple

LIBRARY_FOLDERS = tuple(
    {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
"""Folders of the standard library and of installed packages, which have versions."""


class Code(NamedTuple):
    """What a function's code consists of."""

    own: dict[str, Path]
    """Module of the user's own -> its file."""
    libraries: set[str]
    """Top-level modules of installed packages that the user's modules import."""


def source_files(modules: Iterable[str]) -> Code:
    """Return the code behind some modules: they and all modules of the user's own that they import anywhere.

    Imports are read from the source, also those inside functions. A module that is imported by a computed name, and
    whatever is no Python source, is not found.
    """
    own: dict[str, Path] = {}
    libraries: set[str] = set()
    seen: set[str] = set()
    todo = list(modules)
    # The modules that the user names count even where they are installed; their own imports are followed from there.
    named = set(todo)
    while todo:
        name = todo.pop()
        top = name.partition(".")[0]
        if name in seen or not name or top in sys.stdlib_module_names:
            continue
        seen.add(name)
        file = _file(name)
        installed = file is None or str(file).startswith(LIBRARY_FOLDERS)
        if installed:
            libraries.add(top)
        if file is None or (installed and name not in named):
            continue
        own[name] = file
        # The package around a module runs before it, and may bring modules of its own.
        todo += [name.rpartition(".")[0]] if "." in name else []
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        todo += imports(file, package)
    return Code(own, libraries)


def imports(file: Path, package: str = "") -> Iterator[str]:
    """Yield the absolute names of what a Python file imports anywhere: of modules, and of names that may be modules.

    Args:
        file: the file; one that is no Python source imports nothing.
        package: the package in which it lies, for relative imports; without it they are left out.
    """
    try:
        tree = ast.parse(file.read_bytes()) if file.suffix == ".py" else ast.Module([], [])
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            try:
                base = resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:  # more dots than packages
                continue
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _file(name: str) -> Path | None:
    """Return the file of a module, imported or not; None if there is none. Nothing is imported."""
    if origin := getattr(sys.modules.get(name), "__file__", None):
        path = Path(origin)
        return path.resolve() if path.is_file() else None
    parent, _, last = name.rpartition(".")
    if not parent:
        spec = _spec(name)
        path = Path(spec.origin) if spec and spec.has_location and spec.origin else Path()
        return path.resolve() if path.is_file() else None
    candidates = (Path(place) / end for place in _places(parent) for end in (f"{last}.py", f"{last}/__init__.py"))
    return next((path.resolve() for path in candidates if path.is_file()), None)


def _places(package: str) -> list[str]:
    """Return the folders of a package, which has none if it is a module."""
    if module := sys.modules.get(package):
        return list(getattr(module, "__path__", ()))
    parent, _, last = package.rpartition(".")
    if not parent:
        spec = _spec(package)
        return list(spec.submodule_search_locations or ()) if spec else []
    return [str(place) for outer in _places(parent) if (place := Path(outer) / last).is_dir()]


def _spec(top_level: str) -> ModuleSpec | None:
    try:
        return find_spec(top_level)  # of a top-level name, which imports nothing
    except (ImportError, ValueError):
        return None
