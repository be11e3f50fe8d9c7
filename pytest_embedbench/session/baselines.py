"""Baselines of a session's suites: where each is, its content (read once), and the comparisons with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_embedbench.engine.comparisons import Family
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.results.baseline import Baseline
from pytest_embedbench.results.baseline_source import BaselineSource

if TYPE_CHECKING:
    from pytest_embedbench.checks.regression import RegressionCheck
    from pytest_embedbench.session.state import EmbedSession
    from pytest_embedbench.suite.pairs import Pair
    from pytest_embedbench.suite.plan import Suite


def baseline_source(session: EmbedSession, suite: Suite) -> BaselineSource:
    """Return where the suite's baseline is: as ``--embed-baseline`` says, else as the suite says."""
    if named := option_baseline_source(session):
        return named
    assert suite.regression is not None  # noqa: S101 - only such suites have comparisons
    return BaselineSource(
        suite.regression.baseline, session.suites.home(suite.path), f"{suite.path.name}: regression.baseline"
    )


def option_baseline_source(session: EmbedSession) -> BaselineSource | None:
    """Return where ``--embed-baseline`` says that the baseline is; None without the option."""
    text = session.option("baseline")
    return BaselineSource(text, session.config.invocation_params.dir, "--embed-baseline") if text else None


def read_baseline(session: EmbedSession, location: BaselineSource) -> Baseline:
    """Return the baseline, read once; an empty one if ``--embed-update-baseline`` will create the file.

    Raises:
        ConfigurationError: there is no baseline, it cannot be read, or it is part of a commit and cannot be written.
    """
    if location not in session.baselines:
        updates = session.option("update_baseline")
        if updates and location.in_git:
            problem = f"{location.text} is part of a commit and cannot be written"
            fix = "give a file, or leave --embed-update-baseline out"
            raise ConfigurationError(location.where, problem, fix)
        session.baselines[location] = Baseline() if updates and not location.path.exists() else location.read()
    return session.baselines[location]


def comparison_family(session: EmbedSession, suite: Suite, members: Iterable[tuple[Pair, RegressionCheck]]) -> Family:
    """Return the comparisons of a suite, whose p-values are corrected together.

    ``members``, the pairs and checks that are compared, is used by the first call only.
    """
    if suite.path not in session.families:
        location = baseline_source(session, suite)
        bench = session.workbench(suite.settings)
        session.families[suite.path] = Family(bench, suite, members, read_baseline(session, location), location.text)
    return session.families[suite.path]
