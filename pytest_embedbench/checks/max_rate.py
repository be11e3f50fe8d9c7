"""Budgets on the highest rate that a model holds, such as ``query max rate >= 50 /s at p99 <= 500 ms``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_embedbench.checks.budget import binding
from pytest_embedbench.checks.margin import between, margin
from pytest_embedbench.checks.verdict import Verdict
from pytest_embedbench.core.limits import RateLimit
from pytest_embedbench.load.rates import SEARCH_END_TEXTS

if TYPE_CHECKING:
    from pytest_embedbench.load.rates import RateResult
    from pytest_embedbench.suite.checks import BudgetCheck


def check_max_rate(pair: tuple[str, str], check: BudgetCheck, result: RateResult) -> Verdict:
    """Judge a pair (model, dataset) by the highest rate that held; skipped where the budget is for other hardware."""
    limit = check.limit
    assert isinstance(limit, RateLimit)  # noqa: S101 - what it is for
    name = f"b{result.batch} {limit.subject}"
    holds = limit.holds(result.found.rate)
    status, explanation = binding(check, result.hardware, holds=holds, told=explain(name, limit, result))
    return Verdict(
        model=pair[0],
        dataset=pair[1],
        check=name,
        status=status,
        measured=limit.show(result.found.rate),
        limit=limit.show_bound(),
        value=result.found.rate,
        explanation=explanation,
    )


def explain(name: str, limit: RateLimit, result: RateResult) -> str:
    """The search in one line: the rate, the bracket, the margin, p99 at the rate, and why the search ended."""
    found = result.found
    refuted = "no rate failed" if found.refuted is None else f"{limit.show(found.refuted)} did not hold"
    told = f"{name} is {limit.show(found.rate)} ({refuted}), must be {limit.show_bound()}: "
    told += margin(found.rate, limit.bound)
    high = float("inf") if found.refuted is None else found.refuted
    # At a rate that was tried the answer is known: the bracket's upper end did not hold.
    if found.rate < limit.bound < high:
        told += "; the bracket contains the limit: not certain"
    last = {probe.rate: probe for probe in found.probes}.get(found.rate)
    if last and last.p99_ms is not None:
        told += f"; there p99 is {limit.latency.show(last.p99_ms)}{between(limit.latency, last.p99_interval_ms)}"
    sent = sum(probe.requests for probe in found.probes) * result.batch
    again = f" with {result.distinct_texts:,} distinct texts, sent again" if sent > result.distinct_texts else ""
    return f"{told}; {found.tried}{again}, {SEARCH_END_TEXTS[found.ended]}"
