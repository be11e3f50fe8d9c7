"""Folders and files of a session: results, cards, pages, the embedding cache."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_embedbench.session.options import option

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

OUTPUT_FOLDER = Path("embedbench-out")
"""Default folder of everything that a session writes, beside the project's suite."""


class SessionPaths:
    """Folders and files of one session, as its options, environment variables and ini keys choose them.

    Relative paths start at the folder in which pytest was started.

    Args:
        config: pytest's configuration.
        home: returns the folder of the project's suite; without one, the folder in which pytest was started.
    """

    def __init__(self, config: pytest.Config, home: Callable[[], Path]) -> None:
        self._config, self._home = config, home

    @property
    def results(self) -> Path:
        """Folder of the stored results: ``--embed-results``, else the ini key, else ``embedbench-out/results``."""
        return self._option_or_ini("results") or self._home() / OUTPUT_FOLDER / "results"

    @property
    def cards(self) -> Path:
        """Folder of the model cards: ``--embed-card``, else the ini key, else ``embedbench-out/cards``."""
        return self._option_or_ini("card") or self._home() / OUTPUT_FOLDER / "cards"

    @property
    def card_template(self) -> Path | None:
        """The user's own template for cards; None for the packaged one."""
        return self._resolve(option(self._config, "card_template"))

    @property
    def leaderboard(self) -> Path | None:
        """Folder of the ratings and their pages; None where ``--embed-leaderboard`` is absent."""
        return self._resolve(option(self._config, "leaderboard"))

    @property
    def summary(self) -> Path | None:
        """File of the Markdown summary; None where ``--embed-summary`` is absent."""
        return self._resolve(option(self._config, "summary"))

    @property
    def step_summary(self) -> Path | None:
        """The file that GitHub Actions shows as a step's summary; None elsewhere."""
        return self._resolve(os.environ.get("GITHUB_STEP_SUMMARY"))

    @property
    def cache(self) -> Path | None:
        """Folder of the embedding cache; None with ``--embed-no-cache``.

        ``--embed-cache`` comes before ``$EMBEDBENCH_CACHE``, the ini key, and the user's own cache folder.
        """
        from pytest_embedbench.encode.cache import default_folder

        if option(self._config, "no_cache"):
            return None
        # default_folder() reads the variable itself, and the variable comes before the ini key.
        ini = "" if os.environ.get("EMBEDBENCH_CACHE") else self._config.getini("embedbench_cache")
        return self._resolve(option(self._config, "cache") or ini) or default_folder()

    @property
    def max_cache_bytes(self) -> int | None:
        """Bytes; the largest size of the embedding cache, or None where the ini key is not set.

        Raises:
            ConfigurationError: the ini key is not a size.
        """
        if not (size := self._config.getini("embedbench_cache_size")):
            return None
        from pytest_embedbench.core.parsing import parse_at
        from pytest_embedbench.core.thresholds import parse_size

        return parse_at("embedbench_cache_size", parse_size, size)

    def _option_or_ini(self, name: str) -> Path | None:
        return self._resolve(option(self._config, name) or self._config.getini(f"embedbench_{name}"))

    def _resolve(self, path: str | None) -> Path | None:
        return self._config.invocation_params.dir / Path(path).expanduser() if path else None


def ignore_in_git(results: Path) -> None:
    """Keep the default output folder out of the user's repository, as pytest does with ``.pytest_cache``."""
    if results.parent.name == OUTPUT_FOLDER.name:
        # If the folder cannot be written, storing the first result fails too, with a message.
        with suppress(OSError):
            results.parent.mkdir(parents=True, exist_ok=True)
            (results.parent / ".gitignore").write_text("# made by pytest-embedbench\n*\n", encoding="utf-8")


def display_path(path: Path) -> str:
    """Return the path as messages show it: relative to the working folder where it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
