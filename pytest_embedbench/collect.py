"""Suite files as pytest nodes (file, model, dataset, check), and the parametrization of Python tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.errors import ConfigurationError, EmbedbenchError, ProvenFailure
from pytest_embedbench.report import note_properties, pair_properties, verdict_properties
from pytest_embedbench.session import KEY, EmbedSession

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_embedbench.checks.verdict import Verdict
    from pytest_embedbench.results.baseline import BaselineEntry
    from pytest_embedbench.suite import Check, Pair, RegressionCheck, Suite


class SuiteFile(pytest.File):
    """A suite file; holds a node for each model."""

    def collect(self) -> Iterator[pytest.Collector]:
        session = self.config.stash[KEY]
        try:
            suite = session.suite(self.path)
            if suite.regression:
                from pytest_embedbench.baselines import read, source

                read(session, source(session, suite))
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
                kind = RegressionItem if _kind(check) == "regression" else CheckItem
                yield kind.of(self, name, self.suite, pair, check)


def _kind(check: Check) -> str:
    from pytest_embedbench.suite import BudgetCheck, QualityCheck, RegressionCheck, SlowdownCheck

    kinds: dict[type[Check], str] = {
        QualityCheck: "quality",
        BudgetCheck: "budget",
        SlowdownCheck: "slowdown",
        RegressionCheck: "regression",
    }
    return kinds[type(check)]


def _check_name(check: Check) -> str:
    from pytest_embedbench.suite import BudgetCheck, SlowdownCheck

    if isinstance(check, SlowdownCheck):
        return f"slowdown[{check.shape.slug}-{check.side}]"
    if not isinstance(check, BudgetCheck):
        return f"{_kind(check)}[{check.measure}]"
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
        # pytest reads the brackets of an id as parameters (--lf compares ids so read), but not those of a name alone.
        item: CheckItem = cls.from_parent(parent, name=name, nodeid=f"{parent.nodeid}::{name}")
        item.suite, item.pair, item.check = suite, pair, check
        kind = _kind(check)
        item.add_marker(pytest.mark.embedbench(kind=kind))
        item.user_properties += pair_properties(pair)
        item.extra_keyword_matches.update({pair.model.name, pair.dataset.alias, kind})
        return item

    def runtest(self) -> None:
        session = self.config.stash[KEY]
        path: Path | str
        try:
            verdict, path, reused = self.verdict(session)
        except ProvenFailure as failure:
            verdict, path, reused = _proven(self.pair, self.check, failure), "", None
        finally:
            self.user_properties += note_properties(session.workbench(self.suite.settings))
        self.user_properties += verdict_properties(verdict, str(path), reused=reused)
        if verdict.status == "failed":
            raise CheckFailed(verdict.explanation)
        if verdict.status == "skipped":
            pytest.skip(verdict.explanation)

    def verdict(self, session: EmbedSession) -> tuple[Verdict, Path, bool | None]:
        """The verdict, the path of the stored result, and whether its ranking was a stored one (None: not about it)."""
        return _verdict(session, self.suite, self.pair, self.check)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, (CheckFailed, EmbedbenchError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.pair.model.alias} on {self.pair.dataset.alias}: {self.name}"


class RegressionItem(CheckItem):
    """A comparison with the baseline; when that is to be written, the item measures what goes into it."""

    check: RegressionCheck
    measured: tuple[Path, BaselineEntry] | None = None
    """The file to write and the pair's entry in it."""

    def verdict(self, session: EmbedSession) -> tuple[Verdict, Path, bool | None]:
        from pytest_embedbench.baselines import family, source
        from pytest_embedbench.family import measure

        work = session.workbench(self.suite.settings).evaluation(self.pair, self.suite.measures)
        if session.option("update_baseline"):
            verdict, entry = measure(self.pair, self.check, work)
            self.measured = (source(session, self.suite).path, entry) if entry.metrics else None
            return verdict, work.path, None
        # Those left out by -k and the like are no longer in the session.
        items = [item for item in self.session.items if isinstance(item, RegressionItem)]
        members = [(item.pair, item.check) for item in items if item.suite is self.suite]
        return family(session, self.suite, members).verdict(self.pair, self.check), work.path, None


def _verdict(session: EmbedSession, suite: Suite, pair: Pair, check: Check) -> tuple[Verdict, Path, bool | None]:
    from pytest_embedbench.checks.budget import check_budget
    from pytest_embedbench.checks.quality import check_quality
    from pytest_embedbench.checks.slowdown import check_slowdown, skipped_slowdown
    from pytest_embedbench.checks.verdict import Verdict
    from pytest_embedbench.suite import BudgetCheck, QualityCheck, SlowdownCheck

    bench = session.workbench(suite.settings)
    model, dataset = pair.model.alias, pair.dataset.alias
    work = bench.evaluation(pair, suite.measures)
    if isinstance(check, QualityCheck):
        verdict = check_quality(model, dataset, check, work.means, work.worst_queries)
        return verdict, work.path, work.reused
    reason = "a lexical reference has no load profile" if pair.model.spec.kind == "bm25" else ""
    if isinstance(check, SlowdownCheck):
        if reason:
            return skipped_slowdown((model, dataset), check, reason), work.path, None
        return check_slowdown((model, dataset), check, bench.slowdown(pair, check, suite.measures)), work.path, None
    assert isinstance(check, BudgetCheck)  # noqa: S101 - regression items have a verdict of their own
    if reason:
        verdict = Verdict(model=model, dataset=dataset, check=str(check.shape), status="skipped", explanation=reason)
        return verdict, work.path, None
    details = bench.profile(pair, check.shape, suite.measures).embedbench
    profile = details.profiles[str(check.shape)]
    verdict = check_budget(model, dataset, check, profile, details.load_seconds, details.peak_memory_bytes)
    return verdict, work.path, None


def keep_selected_checks(items: Sequence[pytest.Item]) -> None:
    """Let only limits that are asked for end an evaluation early: not those left out by ``-k`` and the like.

    A pair that a test in Python uses is evaluated whole, since what the test asks of it is not known.
    """
    import msgspec

    selected: dict[tuple[str, str], list[Check]] = {}
    for item in items:
        if isinstance(item, CheckItem):
            selected.setdefault((item.pair.model.alias, item.pair.dataset.alias), []).append(item.check)
    for item in items:
        if used := getattr(getattr(item, "callspec", None), "params", {}).get("embed_pair"):
            selected[used[1].model.alias, used[1].dataset.alias] = []
    for item in items:
        if isinstance(item, CheckItem):
            checks = selected[item.pair.model.alias, item.pair.dataset.alias]
            item.pair = msgspec.structs.replace(item.pair, checks=tuple(checks))


def _proven(pair: Pair, check: Check, failure: ProvenFailure) -> Verdict:
    """The check whose limit is proven missed fails; of the pair's other checks nothing is known."""
    from pytest_embedbench.checks.quality import proven_quality
    from pytest_embedbench.checks.verdict import Verdict
    from pytest_embedbench.suite import QualityCheck

    names = pair.model.alias, pair.dataset.alias
    if isinstance(check, QualityCheck) and check.limit and str(check.measure) == failure.subject:
        return proven_quality(*names, check, failure)
    reason = f"the evaluation was ended early: {failure}"
    return Verdict(model=names[0], dataset=names[1], check=_check_name(check), status="skipped", explanation=reason)


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
