"""Recognize suite files. Every pytest session imports this module, so it imports nothing but ``pathlib``."""

from __future__ import annotations

from pathlib import Path

SUITE_NAME = "embedbench.toml"
DEFAULT_SUITE = Path(__file__).parent / "default" / SUITE_NAME
"""The packaged suite, which runs in a project that has none."""
DEFAULT_NODE = "embedbench-default.toml"
"""Name of the packaged suite in node ids; as a command-line argument it stands for that suite."""


def is_suite(path: Path) -> bool:
    """Whether the path is a suite file; ``pyproject.toml`` is one if it has a ``[tool.embedbench]`` table."""
    if path.name != "pyproject.toml":
        return path.is_file()
    try:
        # A search for the table's name instead of tomllib: sessions without a suite must not pay for a parser.
        return b"[tool.embedbench" in path.read_bytes()
    except OSError:
        return False
