"""State of one pytest session, in ``config.stash``. Loaded in every session, so it imports nothing heavy."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.session.causes import Causes
from pytest_embedbench.session.options import option
from pytest_embedbench.session.paths import SessionPaths, ignore_in_git
from pytest_embedbench.session.suites import Suites

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_embedbench.encode.progress import Progress
    from pytest_embedbench.engine.comparisons import Family
    from pytest_embedbench.engine.pair_work import WorkSettings
    from pytest_embedbench.engine.workbench import Workbench
    from pytest_embedbench.errors import ConfigurationError, EmbedbenchError
    from pytest_embedbench.results.baseline import Baseline
    from pytest_embedbench.results.baseline_source import BaselineSource
    from pytest_embedbench.suite.tables import Settings


class EmbedSession:
    """The parts of one session: its suites, its paths, its workbenches. Each does its work when it is first used."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.suites = Suites(config)
        self.paths = SessionPaths(config, lambda: self.suites.home(self.suites.main_path))
        self.broken: ConfigurationError | None = None
        """An error in a suite, met while collecting; ends the session before any test runs."""
        self.added: Path | None = None
        """The project's suite where the project's own test paths leave it out, and it was added to them."""
        self.left_out: Path | None = None
        """The project's suite where only embedbench items are wanted, from paths that leave it out."""
        self.shares_device = False
        """Whether this is an xdist worker of a session with load profiles: ordinary tests then wait for them too."""
        self.devices: frozenset[str] = frozenset()
        """Devices on which the session's models run, as torch names them; empty until ``session_devices`` is called."""
        self.lock_error: EmbedbenchError | None = None
        """Why the item that runs now, and measures a load, is not alone on its device; it does not run then."""
        self.baselines: dict[BaselineSource, Baseline] = {}
        self.families: dict[Path, Family] = {}
        """Comparisons with a baseline that are corrected together, by the path of their suite."""
        self.causes = Causes(config)
        self._started = time.time()  # Unix time, compared with the times of stored results and vectors
        self._workbenches: dict[WorkSettings, Workbench] = {}
        self._wanted: set[Path] = set()  # paths of this session's results, none of which may replace another

    def option(self, name: str) -> Any:
        """Return the value of ``--embed-NAME``."""
        return option(self.config, name)

    @property
    def requested(self) -> bool:
        """Whether the command line asks for embedbench items."""
        return any(self.option(name) for name in ("model", "dataset", "suite", "update_baseline"))

    def workbench(self, settings: Settings) -> Workbench:
        """Return the workbench for a suite's settings, as the command line changes them; equal settings share one."""
        from pytest_embedbench.encode.cache import DEFAULT_MAX_BYTES
        from pytest_embedbench.engine.pair_work import WorkSettings
        from pytest_embedbench.engine.workbench import Workbench

        # The command line comes before the suite.
        chosen = WorkSettings(
            results=self.paths.results,
            device=self.option("device") or settings.device,
            dtype=self.option("dtype") or settings.dtype or "",
            batch_tokens=self.option("batch_tokens") or settings.batch_tokens,
            reuse=not self.option("fresh"),
            fresh_since=self._started,
            cache=self.paths.cache,
            cache_bytes=self.paths.max_cache_bytes or DEFAULT_MAX_BYTES,
            profile_seconds=float(self.option("profile_seconds")),
            energy=self.option("energy"),
            fail_fast=self.option("fail_fast"),
        )
        # A workbench holds loaded models and evaluations, so suites with the same settings share one.
        if chosen not in self._workbenches:
            ignore_in_git(self.paths.results)
            self._workbenches[chosen] = Workbench(chosen, self.progress, self._wanted)
        return self._workbenches[chosen]

    @cached_property
    def progress(self) -> Progress:
        """The session's progress bar. Once it is asked for, waits are shown beside it until the session ends."""
        from contextlib import ExitStack

        from pytest_embedbench.core.waits import ANNOUNCER
        from pytest_embedbench.session.progress_bar import progress_for
        from pytest_embedbench.session.wait_line import wait_line_for

        progress = progress_for(self.config)
        if line := wait_line_for(self.config, progress):
            stack = ExitStack()
            stack.enter_context(ANNOUNCER.heard_by(line))
            self.config.add_cleanup(stack.close)
        return progress


KEY = pytest.StashKey[EmbedSession]()
