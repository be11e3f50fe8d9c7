"""pytest's hooks: the plugin's entry point.

Loaded in every session of a user who has the package installed, so nothing heavy is imported at the top, and each hook
returns at once where there is no embedbench item. tests/acceptance/test_idle.py holds the list of modules.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.session.arguments import check_options, check_root_folder, choose_arguments
from pytest_embedbench.session.fixtures import embed_dataset, embed_evaluation, embed_model, embed_pair, embed_profile
from pytest_embedbench.session.options import add_options
from pytest_embedbench.session.paths import OUTPUT_FOLDER
from pytest_embedbench.session.state import KEY, EmbedSession
from pytest_embedbench.session.suites import marker_arguments
from pytest_embedbench.suite.find import DEFAULT_NODE, DEFAULT_SUITE, SUITE_NAME, is_suite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["embed_dataset", "embed_evaluation", "embed_model", "embed_pair", "embed_profile"]

BROKEN = "embedbench_broken"
"""Key in xdist's ``workeroutput`` under which a worker sends the fields of a suite's error to the controller."""

SCORES_MODULE = "pytest_embedbench.session.python_tests"
"""The module of ``Score``; if it is not imported, no value in an assertion is a score."""

MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
"""Operator -> the operator with the same meaning when left and right are exchanged."""

MARKER = (
    "embedbench(models=[...], datasets=[...]): run the test once for each model x dataset pair; fixtures embed_model, "
    "embed_dataset, embed_evaluation and embed_profile give it the pair. Suite items carry the marker with kind= the "
    "word before the brackets of their id, so that -m \"embedbench(kind='quality')\" selects quality[ndcg@10]."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_embedbench.session import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    session = config.stash[KEY] = EmbedSession(config)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(session.causes, "embedbench-causes")
    check_root_folder(config)
    if session.option("offline"):
        from pytest_embedbench.session.offline import stay_offline

        # Undone with the config: one process may run several sessions, as pytester does.
        patch = pytest.MonkeyPatch()
        config.add_cleanup(patch.undo)
        stay_offline(patch)
    if session.option("update_baseline"):
        from pytest_embedbench.session.baseline_update import BaselineUpdate

        config.pluginmanager.register(BaselineUpdate(config), "embedbench-update-baseline")
    check_options(session)
    choose_arguments(session)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    # Results hold no tests, and another user's, who ran the suite in the same checkout, may be unreadable.
    return True if collection_path.name == OUTPUT_FOLDER.name and collection_path.is_dir() else None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix != ".toml":
        return None
    session = parent.config.stash[KEY]
    chosen = session.suites.project_path() if session.option("suite") else None
    # With --embed-suite, that suite stands in for all suites that pytest would find in the folders.
    ours = file_path == chosen if chosen else file_path.name == SUITE_NAME
    # pyproject.toml files in subfolders belong to other projects, unless pytest starts there or gets their path.
    if file_path.name == "pyproject.toml" and not chosen and is_suite(file_path):
        ours = (
            file_path == session.suites.project_path()
            or file_path.parent == parent.config.rootpath
            or parent.session.isinitpath(file_path)
        )
    if not ours and file_path != DEFAULT_SUITE:
        return None
    from pytest_embedbench.session.collect import SuiteFile

    if file_path == DEFAULT_SUITE:
        return SuiteFile.from_parent(parent, path=file_path, nodeid=DEFAULT_NODE)
    return SuiteFile.from_parent(parent, path=file_path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "embed_pair" in metafunc.fixturenames:
        from pytest_embedbench.session.collect import parametrize

        parametrize(metafunc)
    elif marker := metafunc.definition.get_closest_marker("embedbench"):
        # Without a fixture of ours there is nothing to parametrize, but a mistake in the marker is still reported.
        session = metafunc.config.stash[KEY]
        try:
            marker_arguments(metafunc.definition.nodeid, marker)
        except ConfigurationError as error:
            session.broken = session.broken or error


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if error := config.stash[KEY].broken:
        if not hasattr(config, "workerinput"):
            raise pytest.UsageError(str(error))
        # To xdist, a worker that raises has crashed. So the worker runs no item, and the controller raises the error.
        items.clear()
        config.workeroutput[BROKEN] = [error.where, error.problem, error.fix]  # type: ignore[attr-defined]
        return
    for item in items:
        if pair := getattr(getattr(item, "callspec", None), "params", {}).get("embed_pair"):
            from pytest_embedbench.session.properties import pair_properties

            item.user_properties += pair_properties(pair[1])
    items.sort(key=lambda item: getattr(item, "embedbench_order", 0))  # stable
    # Every worker collects all items, so that all workers come to the same answer.
    config.stash[KEY].shares_device = hasattr(config, "workerinput") and any(map(_measures_load, items))
    if not config.getoption("embed_only"):
        return
    others = [item for item in items if not _is_embedbench(item)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if _is_embedbench(item)]


def pytest_collection_finish(session: pytest.Session) -> None:
    # Only now have -k, -m and --deselect done their work.
    if session.config.stash[KEY].option("fail_fast"):
        from pytest_embedbench.session.items import keep_selected_checks

        keep_selected_checks(session.items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    config = session.config
    # No data is read for an idle session, nor for one that only lists its items.
    if config.option.collectonly or hasattr(config, "workerinput") or not any(map(_is_embedbench, session.items)):
        return
    from pytest_embedbench.session.items import put_data_errors_first

    put_data_errors_first(session)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Receive the error that an xdist worker has met in a suite."""
    if parts := getattr(node, "workeroutput", {}).get(BROKEN):
        node.config.stash[KEY].broken = ConfigurationError(*parts)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    # "dsession" is xdist's controller. Raised last, so that the hooks of other plugins still run.
    if (error := config.stash[KEY].broken) and config.pluginmanager.hasplugin("dsession"):
        raise pytest.UsageError(str(error))


def _is_embedbench(item: pytest.Item) -> bool:
    return item.get_closest_marker("embedbench") is not None or "embed_pair" in getattr(item, "fixturenames", ())


def _measures_load(item: pytest.Item) -> bool:
    return getattr(item, "measures_load", False) or "embed_profile" in getattr(item, "fixturenames", ())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """Run a load profile alone on its device: no other session measures, and no other worker does anything."""
    session = item.config.stash[KEY]
    if not (session.shares_device or _measures_load(item)):
        return (yield)
    from pytest_embedbench.session.devices import held_for

    with held_for(item, session, alone=_measures_load(item)):
        return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a pair's items on one worker, which does their work once, unless the user has chosen a distribution mode."""
    # "load" is what -n alone means. A session with other tests too keeps xdist's own distribution.
    if config.getoption("dist", "no") != "load" or not config.getoption("embed_only"):
        return None
    from pytest_embedbench.session.xdist import PairScheduling

    return PairScheduling(config, log)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    scores = sys.modules.get(SCORES_MODULE)
    if scores is None:
        return None
    if not isinstance(left, scores.Score):
        left, right, op = right, left, MIRRORED.get(op, op)  # 0.3 <= score becomes score >= 0.3
    if not isinstance(left, scores.Score):
        return None
    lines: list[str] = scores.explain_comparison(op, left, right)
    return lines


def pytest_report_header(config: pytest.Config) -> list[str] | None:
    session = config.stash[KEY]
    if not (session.requested or session.added or session.left_out):
        return None
    from pytest_embedbench.session.terminal import header, suite_note

    return header(session) if session.requested else suite_note(session)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    # pytest calls this in xdist's workers too, whose cards would hold only a part of the results.
    if hasattr(config, "workerinput"):
        return
    reports = [
        report
        for status in ("passed", "failed", "skipped", "error")
        for report in terminalreporter.stats.get(status, [])
        # The prefix is PROPERTY_PREFIX of session.properties, which idle sessions do not import.
        if any(name.startswith("embedbench_") for name, _ in getattr(report, "user_properties", ()))
    ]
    if reports:
        from pytest_embedbench.session.terminal import summarize

        summarize(terminalreporter, config.stash[KEY], reports)
