"""The baselines of a session's suites: which file each one means, read once, and the family of its comparisons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_embedbench.engine.comparisons import Family
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.results.baseline import Baseline
from pytest_embedbench.results.baseline_source import BaselineSource

if TYPE_CHECKING:
    from pytest_embedbench.session.state import EmbedSession
    from pytest_embedbench.suite.checks import Pair, RegressionCheck
    from pytest_embedbench.suite.plan import Suite


def source(session: EmbedSession, suite: Suite) -> BaselineSource:
    """Where the suite's baseline is: ``--embed-baseline``, else what the suite says."""
    if named := option_source(session):
        return named
    assert suite.regression is not None  # noqa: S101 - only then there is something to compare
    return BaselineSource(
        suite.regression.baseline, session.suites.home(suite.path), f"{suite.path.name}: regression.baseline"
    )


def option_source(session: EmbedSession) -> BaselineSource | None:
    """What ``--embed-baseline`` says, where it was given."""
    text = session.option("baseline")
    return BaselineSource(text, session.config.invocation_params.dir, "--embed-baseline") if text else None


def read(session: EmbedSession, found: BaselineSource) -> Baseline:
    """The baseline, read once; when it is to be written, an empty one where there is none.

    Raises:
        ConfigurationError: there is none, it cannot be read, or cannot be written because it is a commit's.
    """
    if found not in session.baselines:
        updates = session.option("update_baseline")
        if updates and found.in_git:
            fix = "give a file, or leave --embed-update-baseline out"
            raise ConfigurationError(found.where, f"{found.text} is of a commit and cannot be written", fix)
        session.baselines[found] = Baseline() if updates and not found.path.exists() else found.read()
    return session.baselines[found]


def family(session: EmbedSession, suite: Suite, members: Iterable[tuple[Pair, RegressionCheck]]) -> Family:
    """The suite's family of comparisons; ``members`` counts when it is first asked for."""
    if suite.path not in session.families:
        found = source(session, suite)
        bench = session.workbench(suite.settings)
        session.families[suite.path] = Family(bench, suite, members, read(session, found), found.text)
    return session.families[suite.path]
