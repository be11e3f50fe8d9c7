"""Budgets on the highest rate that a model holds, such as ``query max rate >= 50 /s at p99 <= 500 ms``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_embedbench.checks.budget import BudgetCheck
from pytest_embedbench.checks.evidence import MaxRateSearch
from pytest_embedbench.checks.margin import AT_LEAST, CLIENT_LIMITED, margin, show_interval
from pytest_embedbench.core.thresholds import RateLimit
from pytest_embedbench.load.notes import busy_note
from pytest_embedbench.load.rates import SEARCH_END_TEXTS

if TYPE_CHECKING:
    from pytest_embedbench.checks.evidence import CheckEvidence
    from pytest_embedbench.checks.verdict import PairNames, Verdict
    from pytest_embedbench.load.rates import RateResult


class MaxRateCheck(BudgetCheck, frozen=True, kw_only=True):
    """A budget on the highest rate at which a latency holds.

    Rates are tried by the search itself; the profile's shape only says how many texts a request has.
    """

    limit: RateLimit

    @property
    def title(self) -> str:
        return f"b{self.shape.batch} {self.limit.subject}"

    @property
    def search(self) -> MaxRateSearch:
        """The search that decides the check; checks with equal searches share one."""
        return MaxRateSearch(self.shape.batch, self.limit.side, self.limit.latency.bound)

    def judge(self, evidence: CheckEvidence) -> Verdict:
        """Search for the highest rate and compare it with the budget; a model without vectors is skipped."""
        if not evidence.has_vectors:
            return self.without_load(evidence.names)
        return judge_max_rate(evidence.names, self, evidence.max_rate(self.search))


def judge_max_rate(pair: PairNames, check: MaxRateCheck, result: RateResult) -> Verdict:
    """Judge a pair by the highest rate that held; skipped if the budget is for other hardware."""
    limit = check.limit
    status, explanation = check.bind(
        result.hardware, holds=limit.holds(result.found.rate), explanation=explain(check.title, limit, result)
    )
    return check.verdict(
        pair,
        status,
        measured=_show_rate(limit, result),
        limit=limit.show_bound(),
        value=result.found.rate,
        explanation=explanation,
    )


def _show_rate(limit: RateLimit, result: RateResult) -> str:
    return (AT_LEAST if result.found.is_lower_bound else "") + limit.show(result.found.rate)


def explain(title: str, limit: RateLimit, result: RateResult) -> str:
    """Describe the search in one line: the rate, the bracket, the margin, p99 at the rate, and why the search ended."""
    search = result.found
    refuted = "no rate failed" if search.refuted is None else f"{limit.show(search.refuted)} did not hold"
    text = f"{title} is {_show_rate(limit, result)} ({refuted}), must be {limit.show_bound()}: "
    text += margin(search.rate, limit.bound)
    high = float("inf") if search.refuted is None else search.refuted
    # The bracket's ends are decided, since they were tried: only a limit strictly inside is uncertain.
    if search.rate < limit.bound < high:
        text += "; the bracket contains the limit: not certain"
    # A rate of 0 stands for none that held; then there is no such probe.
    last = {probe.rate: probe for probe in search.probes}.get(search.rate)
    if last and last.p99_ms is not None:
        text += f"; there p99 is {limit.latency.show(last.p99_ms)}{show_interval(limit.latency, last.p99_interval_ms)}"
    # A server may answer texts from a cache, so the reader is told when texts were sent again.
    sent = sum(probe.requests for probe in search.probes) * result.batch
    again = f" with {result.distinct_texts:,} distinct texts, sent again" if sent > result.distinct_texts else ""
    text += f"; {search.tried}{again}, {SEARCH_END_TEXTS[search.ended]}"
    text += CLIENT_LIMITED if search.client_limited else ""
    busy = busy_note(result.circumstances)
    return f"{text}; {busy}" if busy else text
