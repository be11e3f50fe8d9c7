"""Where a session puts results, cards, pages and the cache."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

OUT = Path("embedbench-out")


def _mark_as_ours(results: Path) -> None:
    """Keep the default output folder out of the user's repository, as pytest does with its cache."""
    if results.parent.name == OUT.name:
        # Where this fails, so does the first result, with a message.
        with suppress(OSError):
            results.parent.mkdir(parents=True, exist_ok=True)
            (results.parent / ".gitignore").write_text("# made by pytest-embedbench\n*\n", encoding="utf-8")


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
