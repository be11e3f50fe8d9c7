"""One cause is one failure: the first item that meets an error reports it, and the others refer to that item.

With xdist the items of a session run in several processes, so that who reports what is written into a folder of files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

NOT_RUN = "not run: see "
"""Start of the explanation of an item that refers to another one."""

FOLDER_KEY = "embedbench_causes"
"""Key in xdist's ``workerinput`` under which the controller names the folder."""

FOLDER_PREFIX = "pytest-embedbench-"
"""Beginning of the folder's name."""
MAX_AGE_SECONDS = 7 * 86_400
"""Seconds after which a folder is one of a session that was killed."""

LAST_FAILED = "cache/lastfailed"
"""Key of pytest's cache under which the node ids for ``--lf`` stand; written when the session ends."""

EXPLANATION = "embedbench_explanation"
"""Property with an item's explanation, as session/properties.py names it, which idle sessions do not import."""


class Causes:
    """Causes of failures in a session, each with the item that reports it.

    A pytest plugin, except in xdist's workers: these send what they report to the controller.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        shared = getattr(config, "workerinput", {}).get(FOLDER_KEY)
        self._folder = Path(shared) if shared else None
        self._reporters: dict[str, str] = {}
        self._not_run: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Name the folder to an xdist worker before it starts; the first worker that needs it makes it."""
        if self._folder is None:
            _remove_old_folders(Path(tempfile.gettempdir()))
            folder = self._folder = Path(tempfile.gettempdir()) / f"{FOLDER_PREFIX}{os.urandom(8).hex()}"
            self._config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        node.workerinput[FOLDER_KEY] = str(self._folder)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and any(
            name == EXPLANATION and str(text).startswith(NOT_RUN) for name, text in report.user_properties
        ):
            self._not_run.append(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Let ``--lf`` run what was not run too: pytest itself remembers failures only."""
        if self._not_run and (cache := getattr(self._config, "cache", None)) is not None:
            cache.set(LAST_FAILED, cache.get(LAST_FAILED, {}) | dict.fromkeys(self._not_run, True))

    def reporter(self, cause: str, node_id: str) -> str:
        """Return the node id of the item that reports the cause: this item, if no other does.

        An item that is run again reports its cause again.
        """
        if cause not in self._reporters:
            self._reporters[cause] = self._claim(cause, node_id) if self._folder else node_id
        return self._reporters[cause]

    def _claim(self, cause: str, node_id: str) -> str:
        """Return the first item, in all processes, that has met the cause; a session must not be green without one."""
        assert self._folder is not None  # noqa: S101 - as the caller knows
        path = self._folder / sha256(cause.encode()).hexdigest()[:32]
        # Written under another name first: another process must not read half of the file.
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            draft.write_text(node_id, encoding="utf-8")
            with suppress(FileExistsError):
                os.link(draft, path)
            return path.read_text(encoding="utf-8")
        return node_id


def _remove_old_folders(folder: Path) -> None:
    for path in folder.glob(f"{FOLDER_PREFIX}*"):
        with suppress(OSError):  # it is another user's, or another session removes it
            if time.time() - path.lstat().st_mtime > MAX_AGE_SECONDS:
                shutil.rmtree(path)
