"""Find the suite file of a project; imported by every pytest session, so it imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

SUITE_NAME = "embedbench.toml"
DEFAULT_SUITE = Path(__file__).parent / "default" / SUITE_NAME
DEFAULT_NODE = "embedbench-default.toml"
"""The packaged suite's name in node ids; as an argument it means that file."""


def is_suite(path: Path) -> bool:
    """Is this a suite file? ``pyproject.toml`` is one where it has a ``[tool.embedbench]`` table."""
    if path.name != "pyproject.toml":
        return path.is_file()
    try:
        return b"[tool.embedbench" in path.read_bytes()
    except OSError:
        return False
