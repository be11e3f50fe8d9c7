"""Find and read the suites of a session, and apply what the command line, markers and hooks change in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.session.options import option, split_names
from pytest_embedbench.suite.find import DEFAULT_SUITE, SUITE_NAME, is_suite

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import msgspec
    import pytest

    from pytest_embedbench.suite.model_names import Overrides
    from pytest_embedbench.suite.plan import Suite

MARKER_KEYS = ("models", "datasets", "kind")
"""Keywords of the ``embedbench`` marker."""


class Suites:
    """The suites of one session, with the command line's models and datasets in place of their own."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._suites: dict[Path, Suite] = {}

    @property
    def loaded(self) -> Collection[Suite]:
        """Suites that were read so far, except those of markers."""
        return self._suites.values()

    @property
    def main_path(self) -> Path:
        """The suite file that the command line applies to: the project's, else the packaged one."""
        return self.project_path() or DEFAULT_SUITE

    def project_path(self) -> Path | None:
        """Return the project's suite file: ``--embed-suite``, else in the working or root folder, else None."""
        here = self._config.invocation_params.dir
        if named := option(self._config, "suite"):
            return (here / Path(named).expanduser()).resolve()
        for folder in dict.fromkeys((here, self._config.rootpath)):
            for name in (SUITE_NAME, "pyproject.toml"):
                if is_suite(folder / name):
                    return folder / name
        return None

    def read(self, path: Path) -> Suite:
        """Return the suite of a file, which is read once.

        Raises:
            ConfigurationError: the suite has an error; the message names its folder if it is not the working folder.
        """
        if path not in self._suites:
            import msgspec

            overrides = msgspec.structs.replace(self._overrides(), regression=self._has_baseline(path))
            try:
                self._suites[path] = self._read(path, overrides)
            except ConfigurationError as error:
                # Errors of options (--embed-model) do not start with the file's name, and need no folder.
                folder = self._folder_of(path)
                if not folder or not error.where.startswith(path.name):
                    raise
                raise ConfigurationError(f"{folder}/{error.where}", error.problem, error.fix) from None
        return self._suites[path]

    def marked(self, node_id: str, marker: pytest.Mark | None) -> Suite:
        """Return the pairs that a marker in Python asks for; the project's suite gives what the marker leaves open.

        Raises:
            ConfigurationError: the marker has unknown arguments, or names what does not exist.
        """
        arguments = marker_arguments(node_id, marker) if marker else {}
        models, datasets = arguments.get("models", ()), arguments.get("datasets", ())
        suite = self.read(self.main_path)  # outside of try: an error in the file must not be reported as the marker's
        if not models and not datasets:
            return suite
        try:
            return self._read(self.main_path, self._overrides(models, datasets))
        except ConfigurationError as error:
            raise ConfigurationError(node_id, error.problem, error.fix) from None

    def home(self, path: Path) -> Path:
        """Return the folder for files that users keep beside a suite; for the packaged suite, the working folder.

        Never pytest's root folder: it depends on the test paths that are given.
        """
        return self._config.invocation_params.dir if path == DEFAULT_SUITE else path.parent

    def _read(self, path: Path, overrides: Overrides) -> Suite:
        from pytest_embedbench.suite.plan import read_suite

        suite = read_suite(path, overrides)
        if option(self._config, "offline"):
            from pytest_embedbench.session.offline import check_offline

            check_offline(suite)
        return suite

    def _overrides(self, models: Iterable[str] = (), datasets: Iterable[str] = ()) -> Overrides:
        """Return the command line's choices; ``models`` and ``datasets`` apply where the command line has none.

        Relative paths of the command line start at the working folder, those of a marker at the root folder.
        """
        from pytest_embedbench.datasets.spec import DatasetSpec
        from pytest_embedbench.models.spec import ModelSpec
        from pytest_embedbench.suite.model_names import Overrides

        chosen_models = split_names(option(self._config, "model"))
        chosen_datasets = split_names(option(self._config, "dataset"))
        on_command_line = bool(chosen_models or chosen_datasets)
        return Overrides(
            models=chosen_models or tuple(models),
            datasets=chosen_datasets or tuple(datasets),
            profiles=split_names(option(self._config, "profile")),
            conformance=not option(self._config, "no_conformance"),
            patience=option(self._config, "patience") or "",
            folder=self._config.invocation_params.dir if on_command_line else self._config.rootpath,
            known_models=self._from_hook("pytest_embedbench_models", ModelSpec),
            known_datasets=self._from_hook("pytest_embedbench_datasets", DatasetSpec),
        )

    def _from_hook(self, name: str, kind: type[msgspec.Struct]) -> dict[str, Any]:
        """Return the entries, by alias, that other plugins and ``conftest.py`` files give through a hook.

        Raises:
            ConfigurationError: an entry has an unknown key or a value of the wrong type.
        """
        import msgspec

        from pytest_embedbench.datasets.spec import BUILTIN

        specs: dict[str, Any] = {}
        for entries in getattr(self._config.hook, name)(config=self._config):
            for alias, entry in entries.items():
                try:
                    spec: Any = msgspec.convert(entry, kind)
                except msgspec.ValidationError as error:
                    raise ConfigurationError(f"hook {name}: {alias}", str(error)) from None
                # BUILTIN stands for the packaged dataset and is not a path.
                if spec.path and spec.path != BUILTIN:
                    path = self._config.rootpath / Path(spec.path).expanduser()
                    spec = msgspec.structs.replace(spec, path=str(path))
                specs[alias] = spec
        return specs

    def _has_baseline(self, path: Path) -> bool:
        """Whether a baseline is compared with or written, even if the suite does not name one."""
        from pytest_embedbench.suite.tables import DEFAULT_BASELINE_FILE

        on_command_line = option(self._config, "baseline") or option(self._config, "update_baseline")
        return bool(on_command_line) or (self.home(path) / DEFAULT_BASELINE_FILE).is_file()

    def _folder_of(self, path: Path) -> str:
        """Return the suite's folder for messages, to tell several suites apart; "" for the working folder."""
        here = self._config.invocation_params.dir
        if path.parent == here or path == DEFAULT_SUITE:
            return ""
        return path.parent.relative_to(here).as_posix() if here in path.parents else str(path.parent)


def marker_arguments(node_id: str, marker: pytest.Mark) -> dict[str, Any]:
    """Return the keywords of an ``embedbench`` marker in Python.

    Raises:
        ConfigurationError: a keyword is unknown, or its value is not a list.
    """
    from pytest_embedbench.errors import closest

    if marker.args:
        raise ConfigurationError(node_id, "the marker takes keywords only", "write models=[...], datasets=[...]")
    for key, value in marker.kwargs.items():
        if key not in MARKER_KEYS:
            raise ConfigurationError(node_id, f"unknown argument {key!r} of the marker", closest(key, MARKER_KEYS))
        if key != "kind" and not isinstance(value, (list, tuple)):
            raise ConfigurationError(f"{node_id}: {key}", f"{value!r} is not a list", f"write {key}=[{value!r}]")
    return dict(marker.kwargs)
