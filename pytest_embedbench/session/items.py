"""Items: one check of a pair, one comparison with the baseline, one conformance probe of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import pytest

from pytest_embedbench.engine.verdicts import check_pair, proven_failure
from pytest_embedbench.errors import EmbedbenchError, ProvenFailure
from pytest_embedbench.session.properties import model_properties, note_properties, pair_properties, verdict_properties
from pytest_embedbench.session.state import KEY, EmbedSession
from pytest_embedbench.suite.checks import check_kind

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_embedbench.checks.verdict import Verdict
    from pytest_embedbench.models.spec import ProbeName
    from pytest_embedbench.results.baseline import BaselineEntry
    from pytest_embedbench.suite.checks import Check, Pair, RegressionCheck
    from pytest_embedbench.suite.examinees import Examinee
    from pytest_embedbench.suite.plan import Suite


Outcome = tuple["Verdict", str, bool | None]
"""A verdict, the path of the pair's stored result, and whether its ranking was a stored one (None: not about it)."""


class CheckFailed(Exception):  # noqa: N818 - a verdict, not an error
    """A check's verdict is ``failed``; shown as its explanation, without a traceback."""


class VerdictItem(pytest.Item):
    """An item that ends in a verdict."""

    suite: Suite
    about: str
    """What it is about, as a person says it."""

    @classmethod
    def named(cls, parent: pytest.Collector, name: str, suite: Suite, kind: str, words: set[str]) -> Self:
        """An item of this kind; ``-k`` finds it by these words too."""
        # pytest reads the brackets of an id as parameters (--lf compares ids so read), but not those of a name alone.
        item: Self = cls.from_parent(parent, name=name, nodeid=f"{parent.nodeid}::{name}")
        item.suite = suite
        item.add_marker(pytest.mark.embedbench(kind=kind))
        item.extra_keyword_matches.update({*words, kind})
        return item

    def runtest(self) -> None:
        session = self.config.stash[KEY]
        try:
            verdict, path, reused = self.verdict(session)
        finally:
            self.user_properties += note_properties(session.workbench(self.suite.settings))
        self.user_properties += verdict_properties(verdict, path, reused=reused)
        if verdict.status == "failed":
            raise CheckFailed(verdict.explanation)
        if verdict.status == "skipped":
            pytest.skip(verdict.explanation)

    def verdict(self, session: EmbedSession) -> Outcome:
        """The verdict, the path of the pair's stored result, and whether its ranking was a stored one."""
        raise NotImplementedError

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, (CheckFailed, EmbedbenchError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.about}: {self.name}"


class CheckItem(VerdictItem):
    """One check of one pair."""

    pair: Pair
    check: Check

    @classmethod
    def of(cls, parent: pytest.Collector, name: str, suite: Suite, pair: Pair, check: Check) -> Self:
        item = cls.named(parent, name, suite, check_kind(check), {pair.model.name, pair.dataset.alias})
        item.pair, item.check = pair, check
        item.about = f"{pair.model.alias} on {pair.dataset.alias}"
        item.user_properties += pair_properties(pair)
        return item

    def verdict(self, session: EmbedSession) -> Outcome:
        try:
            verdict, path, reused = self.evaluated(session)
        except ProvenFailure as failure:
            return proven_failure(self.pair, self.check, failure), "", None
        return verdict, str(path), reused

    def evaluated(self, session: EmbedSession) -> tuple[Verdict, Path, bool | None]:
        """What follows from the pair's evaluation.

        Raises:
            ProvenFailure: it was ended early.
        """
        return check_pair(session.workbench(self.suite.settings), self.suite, self.pair, self.check)


class ConformanceItem(VerdictItem):
    """One conformance probe of one model."""

    examinee: Examinee
    probe: ProbeName

    @classmethod
    def of(cls, parent: pytest.Collector, suite: Suite, examinee: Examinee, probe: ProbeName) -> Self:
        model = examinee.model
        item = cls.named(parent, f"conformance[{probe}]", suite, "conformance", {model.name})
        item.examinee, item.probe, item.about = examinee, probe, model.alias
        item.user_properties += model_properties(model.alias)
        return item

    def verdict(self, session: EmbedSession) -> Outcome:
        from pytest_embedbench.checks.verdict import Verdict

        bench = session.workbench(self.suite.settings)
        try:
            found = bench.conformance(self.examinee, self.probe)
        except EmbedbenchError as error:
            # A model that cannot be used is one failure, not one for each probe.
            if session.reported.setdefault(str(error), self.nodeid) == self.nodeid:
                raise
            first = session.reported[str(error)].rpartition("::")[2]
            pytest.skip(f"the model cannot be used, see {first}")
        verdict = Verdict(
            model=self.examinee.model.alias,
            dataset="",
            check=self.name,
            status=found.status,
            measured=found.measured,
            limit=found.limit,
            value=found.value,
            explanation=found.explanation,
        )
        return verdict, "", None


class RegressionItem(CheckItem):
    """A comparison with the baseline; when that is to be written, the item measures what goes into it."""

    check: RegressionCheck
    measured: tuple[Path, BaselineEntry] | None = None
    """The file to write and the pair's entry in it."""

    def evaluated(self, session: EmbedSession) -> tuple[Verdict, Path, bool | None]:
        from pytest_embedbench.engine.comparisons import measure
        from pytest_embedbench.session.baselines import family, source

        work = session.workbench(self.suite.settings).evaluation(self.pair, self.suite.measures)
        if session.option("update_baseline"):
            verdict, entry = measure(self.pair, self.check, work)
            self.measured = (source(session, self.suite).path, entry) if entry.metrics else None
            return verdict, work.path, None
        # Those left out by -k and the like are no longer in the session.
        items = [item for item in self.session.items if isinstance(item, RegressionItem)]
        members = [(item.pair, item.check) for item in items if item.suite is self.suite]
        return family(session, self.suite, members).verdict(self.pair, self.check), work.path, None


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
