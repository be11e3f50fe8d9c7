"""Suite files as pytest nodes (file, model, dataset, check), and the parametrization of Python tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.errors import ConfigurationError, EmbedbenchError
from pytest_embedbench.report import verdict_properties
from pytest_embedbench.session import KEY, EmbedSession

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_embedbench.checks.verdict import Verdict
    from pytest_embedbench.suite import Check, Pair, Suite


class SuiteFile(pytest.File):
    """A suite file; holds a node for each model."""

    def collect(self) -> Iterator[pytest.Collector]:
        session = self.config.stash[KEY]
        try:
            suite = session.suite(self.path)
        except ConfigurationError as error:
            # An error in a suite ends the session (exit code 4) rather than counting as one failed file.
            session.broken = error
            return
        for alias, pairs in groupby(suite.pairs, key=lambda pair: pair.model.alias):
            yield ModelNode.of(self, alias, suite, list(pairs))


class ModelNode(pytest.Collector):
    """A model of the suite; holds a node for each dataset."""

    suite: Suite
    pairs: list[Pair]

    @classmethod
    def of(cls, parent: pytest.Collector, name: str, suite: Suite, pairs: list[Pair]) -> ModelNode:
        node: ModelNode = cls.from_parent(parent, name=name)
        node.suite, node.pairs = suite, pairs
        return node

    def collect(self) -> Iterator[pytest.Collector]:
        for pair in self.pairs:
            yield DatasetNode.of(self, pair.dataset.alias, self.suite, [pair])


class DatasetNode(ModelNode):
    """A dataset under its model; holds an item for each check."""

    def collect(self) -> Iterator[Any]:
        seen: Counter[str] = Counter()
        for pair in self.pairs:
            for check in pair.checks:
                name = _check_name(check)
                seen[name] += 1
                if seen[name] > 1:
                    name = f"{name[:-1]}#{seen[name]}]"
                yield CheckItem.of(self, name, self.suite, pair, check)


def _check_name(check: Check) -> str:
    from pytest_embedbench.suite import QualityCheck

    if isinstance(check, QualityCheck):
        return f"quality[{check.measure}]"
    subject = f"-{check.limit.subject.replace(' ', '-')}" if check.limit else ""
    return f"budget[{check.shape.slug}{subject}]"


class CheckFailed(Exception):  # noqa: N818 - a verdict, not an error
    """A check's verdict is ``failed``; shown as its explanation, without a traceback."""


class CheckItem(pytest.Item):
    """One check of one pair."""

    suite: Suite
    pair: Pair
    check: Check

    @classmethod
    def of(cls, parent: pytest.Collector, name: str, suite: Suite, pair: Pair, check: Check) -> CheckItem:
        from pytest_embedbench.suite import QualityCheck

        # pytest reads the brackets of an id as parameters (--lf compares ids so read), but not those of a name alone.
        item: CheckItem = cls.from_parent(parent, name=name, nodeid=f"{parent.nodeid}::{name}")
        item.suite, item.pair, item.check = suite, pair, check
        kind = "quality" if isinstance(check, QualityCheck) else "budget"
        item.add_marker(pytest.mark.embedbench(kind=kind))
        item.extra_keyword_matches.update({pair.model.name, pair.dataset.alias, kind})
        return item

    def runtest(self) -> None:
        session = self.config.stash[KEY]
        verdict, path, reused = _verdict(session, self.suite, self.pair, self.check)
        self.user_properties += verdict_properties(verdict, str(path), reused=reused)
        if verdict.status == "failed":
            raise CheckFailed(verdict.explanation)
        if verdict.status == "skipped":
            pytest.skip(verdict.explanation)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, (CheckFailed, EmbedbenchError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.pair.model.alias} on {self.pair.dataset.alias}: {self.name}"


def _verdict(session: EmbedSession, suite: Suite, pair: Pair, check: Check) -> tuple[Verdict, Path, bool | None]:
    from pytest_embedbench.checks.budget import check_budget
    from pytest_embedbench.checks.quality import check_quality
    from pytest_embedbench.checks.verdict import Verdict
    from pytest_embedbench.suite import QualityCheck

    bench = session.workbench(suite.settings)
    model, dataset = pair.model.alias, pair.dataset.alias
    work = bench.evaluation(pair, suite.measures)
    if isinstance(check, QualityCheck):
        verdict = check_quality(model, dataset, check, work.means, work.worst_queries)
        return verdict, work.path, work.reused
    if pair.model.spec.kind == "bm25":
        reason = "a lexical reference has no load profile"
        verdict = Verdict(model=model, dataset=dataset, check=str(check.shape), status="skipped", explanation=reason)
        return verdict, work.path, None
    details = bench.profile(pair, check.shape, suite.measures).embedbench
    profile = details.profiles[str(check.shape)]
    verdict = check_budget(model, dataset, check, profile, details.load_seconds, details.peak_memory_bytes)
    return verdict, work.path, None


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Run a Python test once for each pair that its marker, the command line or the suite names."""
    session = metafunc.config.stash[KEY]
    marker = metafunc.definition.get_closest_marker("embedbench")
    try:
        suite = session.marked_suite(metafunc.definition.nodeid, marker)
    except ConfigurationError as error:
        session.broken = session.broken or error
        metafunc.parametrize("embed_pair", [], indirect=True)
        return
    metafunc.parametrize(
        "embed_pair",
        [pytest.param((suite, pair), marks=() if marker else pytest.mark.embedbench) for pair in suite.pairs],
        ids=[f"{pair.model.alias}-{pair.dataset.alias}" for pair in suite.pairs],
        indirect=True,
        scope="session",
    )
