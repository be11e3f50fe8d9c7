"""Options of ours stand with ``=`` before their value: after a space pytest may take a value for a test path."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_embedbench.session.options import add_options

ROOT = Path(__file__).parents[2]
PAGES = (
    "*.md",
    "Makefile",
    "docs/**/*.md",
    "templates/**/*.md",
    "benchmarks/**/*.md",
    "examples/**/*.*",
    ".github/**/*.*",
)
SOURCES = ("pytest_embedbench/**/*.py",)

pytestmark = pytest.mark.skipif(not (ROOT / "Makefile").is_file(), reason="needs the checkout")


class Options:
    """Takes the place of pytest's parser, and keeps the names of options that have a value."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def getgroup(self, *_: str) -> Options:
        return self

    def addoption(self, name: str, *, action: str = "store", **_: object) -> None:
        if action != "store_true":
            self.names.append(name)

    def addini(self, *_: str, **__: object) -> None:
        pass


def spaced_values(text: str) -> list[str]:
    """Return the places where an option with a value is followed by a space and a word, or by a line of its own."""
    options = Options()
    add_options(options)  # type: ignore[arg-type]
    names = "|".join(sorted(options.names, key=len, reverse=True))
    return re.findall(rf"(?:{names})(?:\s*\\?\n\s*|[ \t]+)(?=[\w'\"./~])[^\s`]*", text)


def test_spaces_are_found() -> None:
    assert spaced_values("`--embed-model minilm`, --embed-card-template\\\n  x.j2") == [
        "--embed-model minilm",
        "--embed-card-template\\\n  x.j2",
    ]
    assert not spaced_values("`--embed-model=minilm`, `--embed-only x`, `--embed-model`, --embed-dataset, or a name")


@pytest.mark.parametrize("pattern", [*PAGES, *SOURCES])
def test_values_stand_behind_an_equals_sign(pattern: str) -> None:
    files = [path for path in ROOT.glob(pattern) if path.is_file()]
    assert files
    found = {path.name: spaced for path in files if (spaced := spaced_values(path.read_text("utf-8")))}
    assert found == {}
