"""What one pytest session keeps for embedbench: its choices, its suites, its workbench. Lives in ``config.stash``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.session.paths import OUT, _mark_as_ours
from pytest_embedbench.session.suites import marker_arguments
from pytest_embedbench.suite.find import DEFAULT_SUITE, SUITE_NAME, is_suite

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_embedbench.engine.comparisons import Family
    from pytest_embedbench.engine.pair_work import WorkSettings
    from pytest_embedbench.engine.workbench import Workbench
    from pytest_embedbench.results.baseline import Baseline
    from pytest_embedbench.results.baseline_source import BaselineSource
    from pytest_embedbench.suite.names import Overrides
    from pytest_embedbench.suite.plan import Suite
    from pytest_embedbench.suite.tables import Settings


def names(values: Iterable[str]) -> tuple[str, ...]:
    """Option values, repeated or comma-separated, as single names."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


class EmbedSession:
    """One session's state. Heavy parts come to life when they are first asked for."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.suites: dict[Path, Suite] = {}
        self.broken: ConfigurationError | None = None
        """An error in a suite found while collecting; ends the session before anything runs."""
        self.shares_device = False
        """Is this an xdist worker of a session with load profiles, beside which not even ordinary tests may run?"""
        self.baselines: dict[BaselineSource, Baseline] = {}
        self.families: dict[Path, Family] = {}
        """By suite: what is compared with its baseline."""
        self.reported: dict[str, str] = {}
        """By an error's text: the item that has reported it."""
        self.started = time.time()
        self._devices: frozenset[str] = frozenset()
        self._workbenches: dict[WorkSettings, Workbench] = {}

    def option(self, name: str) -> Any:
        """Value of ``--embed-NAME``."""
        return self.config.getoption(f"embed_{name}")

    @property
    def asked(self) -> bool:
        """Did the command line ask for embedbench work?"""
        return any(self.option(name) for name in ("model", "dataset", "suite", "update_baseline"))

    def devices(self, items: Iterable[pytest.Item]) -> frozenset[str]:
        """Where the models of the session's items run, as torch names it; xdist's workers agree on it."""
        if not self._devices:
            suites = filter(None, map(_suite_of, items))
            chosen = {self.option("device") or suite.settings.device for suite in suites}
            if "" in chosen:
                from pytest_embedbench.models.load import best_device

                chosen = chosen - {""} | {best_device()}
            self._devices = frozenset(chosen)
        return self._devices

    def folder(self, name: str, fallback: str) -> Path:
        """Where results or cards go: the option, else the ini key, else a folder below ``embedbench-out``."""
        return self._chosen(self.option(name) or self.config.getini(f"embedbench_{name}")) or (
            self.config.rootpath / OUT / fallback
        )

    def _chosen(self, folder: str | None) -> Path | None:
        return self.config.invocation_params.dir / Path(folder).expanduser() if folder else None

    @property
    def results(self) -> Path:
        return self.folder("results", "results")

    @property
    def cards(self) -> Path:
        return self.folder("card", "cards")

    @property
    def leaderboard(self) -> Path | None:
        """The folder for ratings and their pages, where they are asked for."""
        return self._chosen(self.option("leaderboard"))

    @property
    def summary(self) -> Path | None:
        """The file for the markdown summary, where one is asked for."""
        return self._chosen(self.option("summary"))

    @property
    def step_summary(self) -> Path | None:
        """The file that GitHub's CI shows as the step's summary."""
        return self._chosen(os.environ.get("GITHUB_STEP_SUMMARY"))

    @property
    def cache(self) -> Path | None:
        """The embedding cache: the option, else ``$EMBEDBENCH_CACHE``, else the ini key, else the user's own folder."""
        from pytest_embedbench.encode.cache import default_folder

        if self.option("no_cache"):
            return None
        ini = "" if os.environ.get("EMBEDBENCH_CACHE") else self.config.getini("embedbench_cache")
        return self._chosen(self.option("cache") or ini) or default_folder()

    @property
    def cache_bytes(self) -> int | None:
        """The embedding cache's bound, where the ini file has one.

        Raises:
            ConfigurationError: it is no size.
        """
        if not (size := self.config.getini("embedbench_cache_size")):
            return None
        from pytest_embedbench.core.limits import parse_size

        try:
            return parse_size(size)
        except ValueError as error:
            raise ConfigurationError("embedbench_cache_size", str(error)) from None

    def overrides(self, models: Iterable[str] = (), datasets: Iterable[str] = ()) -> Overrides:
        """The command line's choices; ``models`` and ``datasets`` stand in where it makes none.

        Relative paths of the command line start at the working folder, those of a marker at the root folder.
        """
        from pytest_embedbench.suite.names import Overrides

        chosen = names(self.option("model")), names(self.option("dataset"))
        return Overrides(
            models=chosen[0] or tuple(models),
            datasets=chosen[1] or tuple(datasets),
            profiles=names(self.option("profile")),
            conformance=not self.option("no_conformance"),
            folder=self.config.invocation_params.dir if any(chosen) else self.config.rootpath,
            **self._from_hooks(),
        )

    def _from_hooks(self) -> dict[str, Any]:
        import msgspec

        from pytest_embedbench.datasets.load import BUILTIN
        from pytest_embedbench.datasets.spec import DatasetSpec
        from pytest_embedbench.models.spec import ModelSpec

        found: dict[str, dict[str, Any]] = {"known_models": {}, "known_datasets": {}}
        hooks = self.config.hook
        sources: list[tuple[str, Any, type[ModelSpec | DatasetSpec]]] = [
            ("known_models", hooks.pytest_embedbench_models, ModelSpec),
            ("known_datasets", hooks.pytest_embedbench_datasets, DatasetSpec),
        ]
        for field, hook, kind in sources:
            for entries in hook(config=self.config):
                for name, entry in entries.items():
                    try:
                        spec = msgspec.convert(entry, kind)
                    except msgspec.ValidationError as error:
                        raise ConfigurationError(f"hook {hook.name}: {name}", str(error)) from None
                    if spec.path and spec.path != BUILTIN:
                        path = self.config.rootpath / Path(spec.path).expanduser()
                        spec = msgspec.structs.replace(spec, path=str(path))
                    found[field][name] = spec
        return found

    def suite(self, path: Path) -> Suite:
        """The suite at that path, read once.

        Raises:
            ConfigurationError: something in it is wrong.
        """
        if path not in self.suites:
            import msgspec

            from pytest_embedbench.suite.plan import read_suite

            overrides = msgspec.structs.replace(self.overrides(), regression=self._compares(path))
            try:
                self.suites[path] = self._runnable(read_suite(path, overrides))
            except ConfigurationError as error:
                folder = self._folder_of(path)
                if not folder or not error.where.startswith(path.name):
                    raise
                raise ConfigurationError(f"{folder}/{error.where}", error.problem, error.fix) from None
        return self.suites[path]

    def _runnable(self, suite: Suite) -> Suite:
        """The suite, unless it needs a network and may not have one."""
        if self.option("offline"):
            from pytest_embedbench.session.offline import check_offline

            check_offline(suite)
        return suite

    def _compares(self, suite: Path) -> bool:
        """Is there a baseline to compare with or to write, even if the suite says nothing of one?"""
        from pytest_embedbench.suite.tables import BASELINE_FILE

        asked = self.option("baseline") or self.option("update_baseline")
        return bool(asked) or (self.home(suite) / BASELINE_FILE).is_file()

    def home(self, suite: Path) -> Path:
        """The folder for what a user keeps beside a suite; for the packaged one it is the root folder."""
        return self.config.rootpath if suite == DEFAULT_SUITE else suite.parent

    def _folder_of(self, suite: Path) -> str:
        """The folder of a suite that lies elsewhere than in the working folder: which of several suites is meant."""
        here = self.config.invocation_params.dir
        if suite.parent == here or suite == DEFAULT_SUITE:
            return ""
        return suite.parent.relative_to(here).as_posix() if here in suite.parents else str(suite.parent)

    def marked_suite(self, where: str, marker: pytest.Mark | None) -> Suite:
        """The pairs that a marker in Python asks for; what it leaves open comes from the project's suite file.

        Raises:
            ConfigurationError: the marker has unknown arguments, or names what does not exist.
        """
        from pytest_embedbench.suite.plan import read_suite

        arguments = marker_arguments(where, marker) if marker else {}
        path = self.project_suite() or DEFAULT_SUITE
        if not arguments.get("models") and not arguments.get("datasets"):
            return self.suite(path)
        self.suite(path)  # an error of its own is not the marker's
        try:
            overrides = self.overrides(arguments.get("models", ()), arguments.get("datasets", ()))
            return self._runnable(read_suite(path, overrides))
        except ConfigurationError as error:
            raise ConfigurationError(where, error.problem, error.fix) from None

    def project_suite(self) -> Path | None:
        """The suite file of this project: ``--embed-suite``, else in the working or root folder."""
        if named := self.option("suite"):
            return (self.config.invocation_params.dir / Path(named).expanduser()).resolve()
        for folder in dict.fromkeys((self.config.invocation_params.dir, self.config.rootpath)):
            for name in (SUITE_NAME, "pyproject.toml"):
                if is_suite(folder / name):
                    return folder / name
        return None

    def workbench(self, settings: Settings) -> Workbench:
        """The workbench for a suite's settings, the command line's choices before them; suites may differ."""
        from pytest_embedbench.encode.cache import MAX_BYTES
        from pytest_embedbench.engine.pair_work import WorkSettings
        from pytest_embedbench.engine.workbench import Workbench
        from pytest_embedbench.session.progress import progress_for

        chosen = WorkSettings(
            results=self.results,
            device=self.option("device") or settings.device,
            dtype=self.option("dtype") or settings.dtype or "",
            batch_tokens=self.option("batch_tokens") or settings.batch_tokens,
            reuse=not self.option("fresh"),
            fresh_since=self.started,
            cache=self.cache,
            cache_bytes=self.cache_bytes or MAX_BYTES,
            profile_seconds=float(self.option("profile_seconds")),
            energy=self.option("energy"),
            fail_fast=self.option("fail_fast"),
        )
        if chosen not in self._workbenches:
            _mark_as_ours(self.results)
            self._workbenches[chosen] = Workbench(chosen, progress_for(self.config))
        return self._workbenches[chosen]


def _suite_of(item: pytest.Item) -> Suite | None:
    """The suite that an item belongs to, or whose pair a test in Python uses."""
    pair = getattr(getattr(item, "callspec", None), "params", {}).get("embed_pair")
    suite: Suite | None = pair[0] if pair else getattr(item, "suite", None)
    return suite


KEY = pytest.StashKey[EmbedSession]()
