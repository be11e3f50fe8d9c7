"""The verdict of one check of one pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_embedbench.errors import ProvenFailure
from pytest_embedbench.suite.checks import check_name

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_embedbench.checks.verdict import Verdict
    from pytest_embedbench.engine.workbench import Workbench
    from pytest_embedbench.suite.checks import Check, Pair
    from pytest_embedbench.suite.plan import Suite


def check_pair(bench: Workbench, suite: Suite, pair: Pair, check: Check) -> tuple[Verdict, Path, bool | None]:
    from pytest_embedbench.checks.budget import check_budget
    from pytest_embedbench.checks.max_rate import check_max_rate
    from pytest_embedbench.checks.quality import check_quality
    from pytest_embedbench.checks.slowdown import check_slowdown, skipped_slowdown
    from pytest_embedbench.checks.verdict import Verdict
    from pytest_embedbench.suite.checks import BudgetCheck, QualityCheck, SlowdownCheck

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
    if check.rate_search:
        verdict = check_max_rate((model, dataset), check, bench.max_rate(pair, check, suite.measures))
        return verdict, work.path, None
    details = bench.profile(pair, check.shape, suite.measures).embedbench
    profile = details.profiles[str(check.shape)]
    verdict = check_budget(model, dataset, check, profile, details.load_seconds, details.peak_memory_bytes)
    return verdict, work.path, None


def proven_failure(pair: Pair, check: Check, failure: ProvenFailure) -> Verdict:
    """The check whose limit is proven missed fails; of the pair's other checks nothing is known."""
    from pytest_embedbench.checks.quality import proven_quality
    from pytest_embedbench.checks.verdict import Verdict
    from pytest_embedbench.suite.checks import QualityCheck

    names = pair.model.alias, pair.dataset.alias
    if isinstance(check, QualityCheck) and check.limit and str(check.measure) == failure.subject:
        return proven_quality(*names, check, failure)
    reason = f"the evaluation was ended early: {failure}"
    return Verdict(model=names[0], dataset=names[1], check=check_name(check), status="skipped", explanation=reason)
