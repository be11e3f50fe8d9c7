"""What one pytest session keeps for embedbench: its choices, its suites, its workbench. Lives in ``config.stash``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_embedbench.suite import Overrides, Pair, Settings, Suite
    from pytest_embedbench.workbench import Workbench

OUT = Path("embedbench-out")
SUITE_NAME = "embedbench.toml"
DEFAULT_SUITE = Path(__file__).parent / "default_suite" / SUITE_NAME
DEFAULT_NODE = "embedbench-default.toml"
"""The packaged suite's name in node ids; as an argument it means that file."""

MARKER_KEYS = ("models", "datasets", "kind")


def names(values: Iterable[str]) -> tuple[str, ...]:
    """Option values, repeated or comma-separated, as single names."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


class EmbedSession:
    """One session's state. Heavy parts come to life when they are first asked for."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.suites: dict[Path, Suite] = {}
        self.only_suite: Path | None = None
        """Where ``--embed-suite`` named one: no other suite file is collected."""
        self.broken: ConfigurationError | None = None
        """An error in a suite found while collecting; ends the session before anything runs."""
        self._workbench: Workbench | None = None

    def option(self, name: str) -> Any:
        """Value of ``--embed-NAME``."""
        return self.config.getoption(f"embed_{name}")

    @property
    def asked(self) -> bool:
        """Did the command line ask for embedbench work?"""
        return bool(self.option("model") or self.option("dataset") or self.option("suite"))

    def folder(self, name: str, fallback: str) -> Path:
        """Where results or cards go: the option, else the ini key, else a folder below ``embedbench-out``."""
        chosen = self.option(name) or self.config.getini(f"embedbench_{name}")
        if chosen:
            return self.config.invocation_params.dir / Path(str(chosen)).expanduser()
        return self.config.rootpath / OUT / fallback

    @property
    def results(self) -> Path:
        return self.folder("results", "results")

    @property
    def cards(self) -> Path:
        return self.folder("card", "cards")

    def overrides(self, models: Iterable[str] = (), datasets: Iterable[str] = ()) -> Overrides:
        """The command line's choices; ``models`` and ``datasets`` stand in where it makes none."""
        from pytest_embedbench.suite import Overrides

        return Overrides(
            models=names(self.option("model")) or tuple(models),
            datasets=names(self.option("dataset")) or tuple(datasets),
            profiles=names(self.option("profile")),
            folder=self.config.invocation_params.dir,
            **self._from_hooks(),
        )

    def _from_hooks(self) -> dict[str, Any]:
        import msgspec

        from pytest_embedbench.datasets.spec import DatasetSpec
        from pytest_embedbench.models.spec import ModelSpec

        found: dict[str, dict[str, Any]] = {"known_models": {}, "known_datasets": {}}
        hooks = self.config.hook
        for field, hook, kind in (
            ("known_models", hooks.pytest_embedbench_models, ModelSpec),
            ("known_datasets", hooks.pytest_embedbench_datasets, DatasetSpec),
        ):
            for entries in hook(config=self.config):
                for name, entry in entries.items():
                    try:
                        found[field][name] = msgspec.convert(entry, kind)
                    except msgspec.ValidationError as error:
                        raise ConfigurationError(f"hook {hook.name}: {name}", str(error)) from None
        return found

    def suite(self, path: Path) -> Suite:
        """The suite at that path, read once.

        Raises:
            ConfigurationError: something in it is wrong.
        """
        if path not in self.suites:
            from pytest_embedbench.suite import read_suite

            self.suites[path] = read_suite(path, self.overrides())
        return self.suites[path]

    def marked_suite(self, where: str, marker: pytest.Mark | None) -> Suite:
        """The pairs that a marker in Python asks for; what it leaves open comes from the project's suite file.

        Raises:
            ConfigurationError: the marker has unknown arguments, or names what does not exist.
        """
        from pytest_embedbench.errors import closest
        from pytest_embedbench.suite import suite_from_names

        arguments = dict(marker.kwargs) if marker else {}
        if marker and marker.args:
            raise ConfigurationError(where, "the marker takes keywords only", "write models=[...], datasets=[...]")
        for key, value in arguments.items():
            if key not in MARKER_KEYS:
                raise ConfigurationError(where, f"unknown argument {key!r} of the marker", closest(key, MARKER_KEYS))
            if key != "kind" and not isinstance(value, (list, tuple)):
                raise ConfigurationError(f"{where}: {key}", f"{value!r} is not a list", f"write {key}=[{value!r}]")
        path = self.project_suite() or DEFAULT_SUITE
        if not arguments.get("models") and not arguments.get("datasets"):
            return self.suite(path)
        overrides = self.overrides(arguments.get("models", ()), arguments.get("datasets", ()))
        if not overrides.models or not overrides.datasets:
            pairs = self.suite(path).pairs
            overrides = self.overrides(
                overrides.models or dict.fromkeys(pair.model.alias for pair in pairs),
                overrides.datasets or dict.fromkeys(pair.dataset.alias for pair in pairs),
            )
        return suite_from_names(where, overrides)

    def project_suite(self) -> Path | None:
        """The suite file of this project: ``--embed-suite``, else in the working or root folder."""
        if named := self.option("suite"):
            return (self.config.invocation_params.dir / Path(named).expanduser()).resolve()
        for folder in dict.fromkeys((self.config.invocation_params.dir, self.config.rootpath)):
            for name in (SUITE_NAME, "pyproject.toml"):
                if is_suite(folder / name):
                    return folder / name
        return None

    def measures(self, pair: Pair) -> Any:
        """Measures to record for the pair: those of the suite it stands in."""
        for suite in self.suites.values():
            if pair in suite.pairs:
                return suite.measures
        from pytest_embedbench.measures import DEFAULT_MEASURES

        return DEFAULT_MEASURES

    def workbench(self, settings: Settings) -> Workbench:
        """The workbench; made with the first item's settings, the command line's choices before them."""
        if self._workbench is None:
            from pytest_embedbench.progress import progress_for
            from pytest_embedbench.workbench import Workbench, WorkSettings

            chosen = WorkSettings(
                results=self.results,
                device=self.option("device") or settings.device,
                dtype=self.option("dtype") or settings.dtype,
                batch_tokens=self.option("batch_tokens") or settings.batch_tokens,
                reuse=not self.option("fresh"),
                profile_seconds=float(self.option("profile_seconds")),
            )
            _mark_as_ours(self.results)
            self._workbench = Workbench(chosen, progress_for(self.config))
        return self._workbench


def _mark_as_ours(results: Path) -> None:
    """Keep the default output folder out of the user's repository, as pytest does with its cache."""
    if results.parent.name == OUT.name:
        results.parent.mkdir(parents=True, exist_ok=True)
        (results.parent / ".gitignore").write_text("# made by pytest-embedbench\n*\n", encoding="utf-8")


def is_suite(path: Path) -> bool:
    """Is this a suite file? ``pyproject.toml`` is one where it has a ``[tool.embedbench]`` table."""
    if path.name != "pyproject.toml":
        return path.is_file()
    try:
        return b"[tool.embedbench" in path.read_bytes()
    except OSError:
        return False


KEY = pytest.StashKey[EmbedSession]()
