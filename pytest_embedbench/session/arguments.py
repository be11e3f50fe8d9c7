"""The command line before anything is collected: option values are checked, and the suite joins the test paths.

Loaded in every session, so it imports nothing heavy.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.core.bounds import MAX_BATCH_TOKENS, MAX_PROFILE_SECONDS
from pytest_embedbench.core.parsing import shortened
from pytest_embedbench.errors import ConfigurationError, needs_extra
from pytest_embedbench.session.options import takes_value
from pytest_embedbench.suite.find import DEFAULT_NODE, DEFAULT_SUITE

if TYPE_CHECKING:
    from pytest_embedbench.session.state import EmbedSession


def check_root_folder(config: pytest.Config) -> None:
    """Refuse a command line in which a value of ours has moved pytest's root folder.

    Raises:
        pytest.UsageError: it has.
    """
    words = [*config.invocation_params.args, *os.environ.get("PYTEST_ADDOPTS", "").split()]
    # xdist's workers have the controller's root folder.
    if hasattr(config, "workerinput") or not any(takes_value(config, word) for word in words):
        return
    from pytest_embedbench.session.root_folder import refuse_moved_root_folder

    try:
        refuse_moved_root_folder(config)
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from None


def check_options(session: EmbedSession) -> None:
    """Check option values before anything is collected.

    Raises:
        pytest.UsageError: a value cannot be used.
    """
    if (tokens := session.option("batch_tokens")) is not None and not 1 <= tokens <= MAX_BATCH_TOKENS:
        problem = f"{shortened(str(tokens))} is not a number of tokens from 1 to {MAX_BATCH_TOKENS:,}"
        raise pytest.UsageError(f"--embed-batch-tokens: {problem}")
    if not 0 < (seconds := session.option("profile_seconds")) <= MAX_PROFILE_SECONDS:  # not for NaN either
        problem = f"{seconds} is not a number of seconds above 0 and at most {MAX_PROFILE_SECONDS:,.0f}"
        raise pytest.UsageError(f"--embed-profile-seconds: {problem}")
    if session.option("energy"):
        from pytest_embedbench.machine.energy import missing_extra

        if missing_extra():
            raise pytest.UsageError(
                str(needs_extra("energy", "codecarbon", ConfigurationError, where="--embed-energy"))
            )
    try:
        _ = session.paths.max_cache_bytes  # read here for its error
        if session.option("baseline"):
            from pytest_embedbench.session.baselines import option_baseline_source, read_baseline

            if location := option_baseline_source(session):
                read_baseline(session, location)
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from None
    template = session.paths.card_template
    if template and not template.is_file():
        raise pytest.UsageError(f"--embed-card-template: {session.option('card_template')}: no such file")


def choose_arguments(session: EmbedSession) -> None:
    """Change pytest's test paths so that the suites that the user expects are collected.

    Raises:
        pytest.UsageError: the suite that the command line applies to has an error.
    """
    config = session.config
    paths_given = _paths_given(config)
    config.args[:] = [_default_suite_argument(argument) for argument in config.args]
    if not session.requested:
        _add_left_out_suite(session, paths_given=paths_given)
        return
    suite = session.suites.main_path
    try:
        # Read before collection, so that a broken suite ends the session at once with a usage error.
        session.suites.read(suite)
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from None
    # Without paths pytest would collect the project's whole test suite, which nobody asked for here.
    if not paths_given:
        config.option.embed_only = True
    if (not paths_given or session.option("suite")) and not _will_be_collected(suite, config):
        config.args.append(str(suite))


def _paths_given(config: pytest.Config) -> bool:
    """Whether the command line names test paths; those in an ini file's ``addopts`` count as the project's."""
    from_arguments = config.args_source is pytest.Config.ArgsSource.ARGS
    return from_arguments and any(path in config.invocation_params.args for path in config.args)


def _add_left_out_suite(session: EmbedSession, *, paths_given: bool) -> None:
    """Collect the project's suite where the project's own test paths leave it out, and note that for the header.

    Where the user gives other paths, works in another folder or ignores the file, it is left out like any other file
    (``SuiteFile`` finds out about a conftest.py that ignores it).
    """
    config, suite = session.config, session.suites.project_path()
    if suite is None or _will_be_collected(suite, config):
        return
    if config.hook.pytest_ignore_collect(collection_path=suite, config=config):
        return
    only = config.getoption("embed_only")
    if paths_given:
        session.left_out = suite if only else None
    elif only or config.args_source is not pytest.Config.ArgsSource.INVOCATION_DIR:
        config.args.append(str(suite))
        session.added = suite


def _default_suite_argument(argument: str) -> str:
    """Return the argument, with the name of the packaged suite replaced by the suite's path.

    Node ids begin with the name, so that a node id copied from pytest's output runs that item again.
    """
    name, separator, rest = argument.partition("::")
    return f"{DEFAULT_SUITE}{separator}{rest}" if name == DEFAULT_NODE and not Path(name).exists() else argument


def _will_be_collected(suite: Path, config: pytest.Config) -> bool:
    """Whether pytest finds the suite file by itself, from the paths at which it starts."""
    starts = [(config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args]
    return suite.suffix == ".toml" and any(suite == start or start in suite.parents for start in starts)
