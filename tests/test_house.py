"""The rooms of the package: which may import which, and no circle among them or among their files."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pytest_embedbench"

DOOR = {"__init__", "__main__", "api", "errors", "plugin"}
"""The only modules that lie loose in the package."""

ROOMS: dict[str, set[str]] = {
    "core": {"errors"},
    "machine": {"core", "errors"},
    "remote": {"core", "errors"},
    "datasets": {"core", "errors", "remote"},
    "models": {"core", "datasets", "errors", "machine", "remote"},
    "catalog": {"datasets", "models"},
    "encode": {"core", "datasets", "errors", "models"},
    "evaluate": {"core", "datasets", "encode", "errors", "models"},
    "load": {"core", "datasets", "encode", "errors", "machine", "models", "remote"},
    "conformance": {"catalog", "core", "datasets", "errors", "models"},
    "checks": {"core", "errors", "load", "machine", "models"},
    "suite": {"catalog", "checks", "conformance", "core", "datasets", "errors", "load", "models", "remote"},
    "results": {
        "__init__",
        "catalog",
        "conformance",
        "core",
        "datasets",
        "errors",
        "evaluate",
        "load",
        "machine",
        "models",
    },
    "rating": {"core", "datasets", "errors", "evaluate", "remote", "results"},
    "reports": {"core", "datasets", "errors", "load", "machine", "rating", "results"},
    "plausibility": {"catalog", "core", "errors", "load", "reports", "results"},
    "engine": {
        "checks",
        "conformance",
        "core",
        "datasets",
        "encode",
        "errors",
        "evaluate",
        "load",
        "machine",
        "models",
        "results",
        "suite",
    },
    "cli": {
        "__init__",
        "catalog",
        "checks",
        "core",
        "datasets",
        "encode",
        "errors",
        "evaluate",
        "models",
        "plausibility",
        "rating",
        "remote",
        "reports",
        "results",
        "suite",
    },
    "session": {
        "checks",
        "conformance",
        "core",
        "datasets",
        "encode",
        "engine",
        "errors",
        "load",
        "machine",
        "models",
        "plausibility",
        "rating",
        "remote",
        "reports",
        "results",
        "suite",
    },
    "api": {"core", "datasets", "errors", "evaluate", "models", "suite"},
    "plugin": {"errors", "session", "suite"},
    "__main__": {"cli"},
}
"""From the ground up: the rooms that each room imports, all of which stand above it in this list.

An import that is missing here needs a reason, and one that is no longer used goes: a new room, or an arrow that runs the
other way, is a change of the house, which docs/architecture.md describes.
"""


@cache
def modules() -> dict[str, Path]:
    """Return the files of the package by dotted name."""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imported(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == PACKAGE.name:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in modules() else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())


@cache
def arrows() -> Mapping[str, set[str]]:
    """Return the modules that each module imports."""
    return {name: {other for other in imported(path) if other != name} for name, path in modules().items()}


def room(module: str) -> str:
    """Return the room of a module; a module at the door stands for itself."""
    return module.split(".")[1] if "." in module else "__init__"


def test_nothing_lies_loose_at_the_door() -> None:
    loose = {path.stem for path in PACKAGE.glob("*.py")}
    assert loose <= DOOR


def test_every_folder_says_what_it_is_for() -> None:
    silent = [
        path
        for path in {path.parent for path in modules().values()}
        if not ast.get_docstring(ast.parse((path / "__init__.py").read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_rooms_import_what_the_list_of_rooms_says() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    files: dict[tuple[str, str], list[str]] = defaultdict(list)
    for module, others in arrows().items():
        for other in others:
            if room(other) != room(module):
                found[room(module)].add(room(other))
                files[room(module), room(other)].append(f"{module} -> {other}")
    new = {pair: names for pair, names in files.items() if pair[1] not in ROOMS.get(pair[0], set())}
    assert new == {}, "imports that the list of rooms does not have"
    unused = {name: gone for name, rooms in ROOMS.items() if (gone := rooms - found[name])}
    assert unused == {}, "entries of the list of rooms that nothing needs"


def test_the_list_of_rooms_runs_one_way() -> None:
    seen = {"__init__", "errors"}
    for name, rooms in ROOMS.items():
        assert rooms <= seen, f"{name} imports what stands below it in the list: {rooms - seen}"
        seen.add(name)


def test_no_circle_of_files() -> None:
    try:
        TopologicalSorter(arrows()).prepare()
    except CycleError as error:
        pytest.fail(f"circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_pages_name_files_that_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/.]+/[\w.]*\.(?:py|toml|j2|md))`", text))
    missing = [name for name in named if not any((place / name).exists() for place in (ROOT, PACKAGE))]
    assert missing == []
    assert named
