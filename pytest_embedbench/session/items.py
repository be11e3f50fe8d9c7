"""Items: one check of a pair, one conformance probe of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest

from pytest_embedbench.checks.verdict import PairNames, Status, Verdict
from pytest_embedbench.engine.pair_evidence import PairEvidence
from pytest_embedbench.errors import EmbedbenchError, ProvenFailure
from pytest_embedbench.session.causes import NOT_RUN
from pytest_embedbench.session.properties import model_properties, note_properties, pair_properties, verdict_properties
from pytest_embedbench.session.pytest_compat import without_traceback
from pytest_embedbench.session.state import KEY, EmbedSession

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_embedbench.checks.check import Check
    from pytest_embedbench.checks.comparison import Comparison
    from pytest_embedbench.core.measures import Measure
    from pytest_embedbench.engine.pair_work import PairWork
    from pytest_embedbench.models.spec import NamedModel
    from pytest_embedbench.results.baseline import BaselineEntry
    from pytest_embedbench.suite.pairs import Pair
    from pytest_embedbench.suite.plan import Suite
    from pytest_embedbench.suite.probed_models import ProbedModel


class ItemVerdict(NamedTuple):
    """A verdict, the path of the pair's stored result ("": none), and whether its ranking was a stored one.

    ``reused`` is None if the verdict is not about a ranking. ``cause`` names the reason of a failure that other items
    share, or is empty.
    """

    verdict: Verdict
    path: str = ""
    reused: bool | None = None
    cause: str = ""


class CheckFailed(Exception):  # noqa: N818 - a verdict, not an error
    """A check's verdict is ``failed``; shown as its explanation, without a traceback."""


class VerdictItem(pytest.Item):
    """An item that ends in a verdict."""

    suite: Suite
    about: str
    """The pair or the model, as reports of failures name it."""
    embedbench_order: int = 0
    """Position among the session's items: a higher one comes later."""
    measures_load: bool = False
    """Whether the item runs alone on its device."""

    @classmethod
    def build_named(cls, parent: pytest.Collector, name: str, suite: Suite, kind: str, words: set[str]) -> Self:
        """Return an item of this kind; ``-k`` finds it by these words too."""
        # pytest reads the brackets of an id given as text as parameters, as it does with the ids that --lf remembers.
        # An id that pytest makes from the name has no parameters, and --lf would not find the item again.
        item: Self = cls.from_parent(parent, name=name, nodeid=f"{parent.nodeid}::{name}")
        item.suite = suite
        item.add_marker(pytest.mark.embedbench(kind=kind))
        item.extra_keyword_matches.update({*words, kind})
        return item

    def runtest(self) -> None:
        session = self.config.stash[KEY]
        bench = session.workbench(self.suite.settings)
        try:
            if session.lock_error:
                raise session.lock_error
            verdict, path, reused, cause = self.verdict(session)
        except EmbedbenchError as error:
            # A failed check in the table too: without a row it would look as if the check did not exist.
            first_line = str(error).partition("\n")[0]
            failed = self.unmeasured("failed", first_line)
            self.user_properties += verdict_properties(
                self._once(failed, bench.cause(error, self.model)), "", reused=None
            )
            raise
        finally:
            # After an error too: notes of the work until then belong to this item, not to the next one.
            self.user_properties += note_properties(bench)
        verdict = self._once(verdict, cause) if cause else verdict
        self.user_properties += verdict_properties(verdict, path, reused=reused)
        if verdict.status == "failed":
            raise CheckFailed(verdict.explanation)
        if verdict.status == "skipped":
            pytest.skip(verdict.explanation)

    def _once(self, failed: Verdict, cause: str) -> Verdict:
        """Return the failed verdict where this item reports the cause.

        Raises:
            pytest.skip.Exception: another item reports it.
        """
        reporter = self.config.stash[KEY].causes.reporter(cause, self.nodeid)
        if reporter != self.nodeid:
            raise self.not_run(reporter)
        return failed

    def not_run(self, reporter: str) -> BaseException:
        """Return the exception that skips this item: ``reporter`` fails for a cause that concerns both."""
        file, _, name = reporter.partition("::")
        reason = f"{NOT_RUN}{name if self.nodeid.startswith(f'{file}::') else reporter}"
        self.user_properties += verdict_properties(self.unmeasured("skipped", reason), "", reused=None)
        return pytest.skip.Exception(reason)

    @property
    def model(self) -> NamedModel:
        """The item's model."""
        raise NotImplementedError

    def unmeasured(self, status: Status, explanation: str) -> Verdict:
        """Return a verdict of this item without a measured value."""
        raise NotImplementedError

    def verdict(self, session: EmbedSession) -> ItemVerdict:
        """Do the item's work and judge it.

        Raises:
            EmbedbenchError: model or data cannot be used.
        """
        raise NotImplementedError

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, (CheckFailed, EmbedbenchError)):
            # With --tb=line a message stands alone; the short summary has the node id before it, and little room.
            alone = self.config.getoption("tbstyle", "") == "line"
            own = f"model {self.model.alias!r}: "  # the node id says it already
            return without_traceback(excinfo, self.path, one_line=f"{self.about}: " if alone else "", own=own)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.about}: {self.name}"


class CheckItem(VerdictItem):
    """One check of one pair."""

    pair: Pair
    check: Check
    baseline_entry: tuple[Path, BaselineEntry] | None = None
    """With ``--embed-update-baseline``: the file to write, and the pair's entry in it."""

    @classmethod
    def build(cls, parent: pytest.Collector, name: str, suite: Suite, pair: Pair, check: Check) -> Self:
        item = cls.build_named(parent, name, suite, check.kind, {pair.model.name, pair.dataset.alias})
        item.pair, item.check = pair, check
        item.embedbench_order, item.measures_load = check.order, check.measures_load
        item.about = f"{pair.model.alias} on {pair.dataset.alias}"
        item.user_properties += pair_properties(pair)
        return item

    @property
    def model(self) -> NamedModel:
        return self.pair.model

    def unmeasured(self, status: Status, explanation: str) -> Verdict:
        return self.check.verdict(self._names, status, explanation=explanation)

    @property
    def _names(self) -> PairNames:
        return PairNames(self.pair.model.alias, self.pair.dataset.alias)

    def verdict_without_model(self, session: EmbedSession) -> ItemVerdict | None:
        """Return the verdict if the dataset alone decides it: no query can be scored; None if the model is needed.

        Raises:
            DatasetError: the dataset cannot be read.
        """
        problem, fix = session.workbench(self.suite.settings).dataset(self.pair.dataset).why_unscored()
        unscored = self.check.judge_unscored(self._names, problem, fix) if problem else None
        return ItemVerdict(unscored, cause=f"{self.pair.dataset.alias}: {problem}") if unscored else None

    def verdict(self, session: EmbedSession) -> ItemVerdict:
        bench, names = session.workbench(self.suite.settings), self._names
        # Asked first, since the evaluation would load the model and encode a corpus for nothing.
        if decided := self.verdict_without_model(session):
            return decided
        try:
            evidence = PairEvidence(
                bench, self.pair, self.suite.measures, self._compare, ranked=self.check.needs_ranking
            )
            verdict = self.check.judge(evidence)
        except ProvenFailure as failure:
            return ItemVerdict(self.check.judge_ended(names, failure))
        if not self.pair.model.spec.has_vectors and not self.check.needs_ranking:
            return ItemVerdict(verdict)  # nothing was measured
        work = evidence.work
        return ItemVerdict(verdict, str(work.path), work.reused if self.check.judges_ranking else None)

    def _compare(self, work: PairWork, measure: Measure) -> Comparison:
        """Compare with the suite's baseline; when that is to be written, note the entry instead."""
        from pytest_embedbench.session.baselines import baseline_source, comparison_family

        session = self.config.stash[KEY]
        if session.option("update_baseline"):
            from pytest_embedbench.engine.comparisons import measure_baseline

            comparison, entry = measure_baseline(self.pair, measure, work)
            self.baseline_entry = (baseline_source(session, self.suite).path, entry) if entry.metrics else None
            return comparison
        from pytest_embedbench.checks.regression import RegressionCheck

        # Checks left out by -k and the like are no longer in the session, and so no part of Holm's correction.
        items = [item for item in self.session.items if isinstance(item, CheckItem) and item.suite is self.suite]
        members = [(item.pair, item.check) for item in items if isinstance(item.check, RegressionCheck)]
        return comparison_family(session, self.suite, members).compare(self.pair, measure)


class ConformanceItem(VerdictItem):
    """One conformance probe of one model."""

    probed_model: ProbedModel
    probe: str

    @classmethod
    def build(cls, parent: pytest.Collector, suite: Suite, probed_model: ProbedModel, probe: str) -> Self:
        model = probed_model.model
        item = cls.build_named(parent, f"conformance[{probe}]", suite, "conformance", {model.name})
        item.probed_model, item.probe, item.about = probed_model, probe, model.alias
        item.user_properties += model_properties(model.alias)
        return item

    @property
    def model(self) -> NamedModel:
        return self.probed_model.model

    def unmeasured(self, status: Status, explanation: str) -> Verdict:
        alias = self.probed_model.model.alias
        return Verdict(model=alias, dataset="", check=self.name, status=status, explanation=explanation)

    def verdict(self, session: EmbedSession) -> ItemVerdict:
        if unreadable := self._unreadable_data(session):
            raise self.not_run(unreadable)
        outcome = session.workbench(self.suite.settings).conformance(self.probed_model, self.probe)
        verdict = Verdict(
            model=self.probed_model.model.alias,
            dataset="",
            check=self.name,
            status=outcome.status,
            measured=outcome.measured,
            limit=outcome.limit,
            value=outcome.value,
            explanation=outcome.explanation,
        )
        return ItemVerdict(verdict)

    def _unreadable_data(self, session: EmbedSession) -> str:
        """Return the node id of an item that fails since its dataset cannot be read; "" if the model has other items.

        A model that can be tested on none of its datasets is not probed.
        """
        first = ""
        for item in self.session.items:
            if isinstance(item, CheckItem) and item.pair.model.base == self.probed_model.model.base:
                try:
                    item.verdict_without_model(session)
                except EmbedbenchError as error:
                    cause = session.workbench(item.suite.settings).cause(error, item.model)
                    first = first or session.causes.reporter(cause, item.nodeid)
                else:
                    return ""
        return first


def put_data_errors_first(session: pytest.Session) -> None:
    """Let checks that fail because of their data run before conformance probes, which may take long.

    Only where items run in this process: xdist's workers must keep the order that the controller knows.
    """
    probes = [index for index, item in enumerate(session.items) if isinstance(item, ConformanceItem)]
    if not probes:
        return
    state = session.config.stash[KEY]
    failing: set[pytest.Item] = set()
    for item in session.items[probes[0] :]:
        if isinstance(item, CheckItem):
            try:
                decided = item.verdict_without_model(state)
            except EmbedbenchError:
                failing.add(item)
            else:
                if decided and decided.verdict.status == "failed":
                    failing.add(item)
    session.items[probes[0] :] = sorted(session.items[probes[0] :], key=lambda item: item not in failing)  # stable


def keep_selected_checks(items: Sequence[pytest.Item]) -> None:
    """Let only the selected checks' limits end an evaluation early, not those left out by ``-k`` and the like.

    A pair that a test in Python uses is evaluated whole, since it is not known which of its numbers the test needs.
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
