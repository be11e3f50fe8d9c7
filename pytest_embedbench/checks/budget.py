"""Latency, throughput, load-time and memory budgets, such as ``query p50 <= 160 ms``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_embedbench.checks.check import NO_LOAD_PROFILE, Check
from pytest_embedbench.checks.margin import compare_to_limit
from pytest_embedbench.checks.verdict import PairNames, Status, Verdict
from pytest_embedbench.core.thresholds import SIDES, Limit
from pytest_embedbench.load.notes import overload_note
from pytest_embedbench.load.shape import Shape
from pytest_embedbench.machine.environment import matches_hardware

if TYPE_CHECKING:
    from pytest_embedbench.checks.evidence import CheckEvidence, LoadEvidence
    from pytest_embedbench.load.quantiles import Interval
    from pytest_embedbench.load.statistics import ProfileResult, SideStatistics

OVERLOAD = "did not keep up"

RATE_FIELDS = {"tok/s": "tokens_per_s", "texts/s": "texts_per_s", "requests/s": "requests_per_s"}
"""Fields of a side's statistics that hold its throughput, by the limit's unit."""


class BudgetCheck(Check, frozen=True, kw_only=True):
    """A load profile and a budget on it; without a limit the profile is only reported.

    ``hardware`` names the machine on which the budget binds ("": on every one).
    """

    kind: ClassVar[str] = "budget"
    measures_load: ClassVar[bool] = True

    shape: Shape
    limit: Limit | None = None
    hardware: str = ""

    @property
    def name(self) -> str:
        subject = f"-{self.limit.subject.replace(' ', '-')}" if self.limit else ""
        return f"budget[{self.shape.slug}{subject}]"

    @property
    def title(self) -> str:
        return f"{self.shape} {self.limit.subject}" if self.limit else str(self.shape)

    def judge(self, evidence: CheckEvidence) -> Verdict:
        """Measure the load and compare it with the budget; a model without vectors has no load, so it is skipped."""
        if not evidence.has_vectors:
            return self.without_load(evidence.names)
        return judge_load(evidence.names, self, evidence.profile(self.shape))

    def without_load(self, pair: PairNames) -> Verdict:
        """Return the verdict on a model that has no load profile."""
        return Verdict(
            model=pair.model,
            dataset=pair.dataset,
            check=str(self.shape),
            status="skipped",
            explanation=NO_LOAD_PROFILE,
        )

    def bind(self, hardware: str, *, holds: bool, explanation: str) -> tuple[Status, str]:
        """Return status and explanation of a verdict; on other hardware the reason why the budget does not bind."""
        if self.hardware and not matches_hardware(self.hardware, hardware):
            return "skipped", f"binds on {self.hardware}; this is {hardware}"
        return "passed" if holds else "failed", explanation


def judge_load(pair: PairNames, check: BudgetCheck, load: LoadEvidence) -> Verdict:
    """Compare a profile with a budget; a budget for other hardware is skipped, and still shows the measured value."""
    limit, profile = check.limit, load.profile
    if limit is None:
        return check.verdict(
            pair,
            "measured",
            measured=f"query {_latency(profile.query)}, corpus {_speed(profile.corpus)}",
            explanation=f"{profile.shape}: {profile.note}" if profile.note else "",
        )
    value, refusal = measured_value(limit, load), _refusal(limit, profile)
    if overload := _overload(limit, profile):
        # A latency under overload depends on how long the load went on, so no measured value can pass.
        measured, holds = OVERLOAD, False
        explanation = f"{check.title} must be {limit.show_bound()}: {overload}"
    elif value is not None and not refusal:
        measured, holds = limit.show(value), limit.holds(value)
        explanation = compare_to_limit(check.title, value, limit, measured_interval(limit, profile))
    else:
        reason = refusal or f"{limit.subject} was not measured here"
        return check.verdict(pair, "skipped", limit=limit.show_bound(), explanation=reason)
    status, explanation = check.bind(profile.hardware, holds=holds, explanation=explanation)
    return check.verdict(
        pair, status, measured=measured, limit=limit.show_bound(), value=value, explanation=explanation
    )


def measured_interval(limit: Limit, profile: ProfileResult) -> Interval | None:
    """Return the 95% interval of the value that ``measured_value`` gives, in the base unit; None if it has none."""
    side_name, _, statistic = limit.subject.partition(" ")
    if side_name not in SIDES:
        return None
    side = _side(side_name, profile)
    return (
        side.intervals_per_s.get(RATE_FIELDS[limit.unit])
        if statistic == "throughput"
        else side.intervals_ms.get(statistic)
    )


def measured_value(limit: Limit, load: LoadEvidence) -> float | None:
    """Return the measured value of the budget's subject, in the base unit; None if it was not measured."""
    if limit.subject == "cold start":
        return None if load.load_seconds is None else load.load_seconds * 1000
    if limit.subject == "memory":
        # On an accelerator the model is in the device's memory; the process holds mostly libraries.
        peak = load.memory.get("device", load.memory.get("process"))
        return None if peak is None else float(peak)
    side_name, _, statistic = limit.subject.partition(" ")
    side = _side(side_name, load.profile)
    # The subject was checked when the budget was read, so the field exists.
    field = RATE_FIELDS[limit.unit] if statistic == "throughput" else f"{statistic}_ms"
    value: float | None = getattr(side, field)
    return value


def _latency(side: SideStatistics) -> str:
    if side.arrivals and side.arrivals.kept_up is False:
        return OVERLOAD
    return f"mean {side.mean_ms:.1f} ms" if side.p50_ms is None else f"p50 {side.p50_ms:.1f} ms"


def _speed(side: SideStatistics) -> str:
    """Return a closed loop's throughput; an open loop's is only the rate that was requested, so return its latency."""
    return _latency(side) if side.arrivals else f"{side.tokens_per_s:,.0f} tok/s"


def _overload(limit: Limit, profile: ProfileResult) -> str:
    """Return the reason why the side has no steady latency; "" if it may have one, and for load time and memory."""
    side_name = limit.subject.partition(" ")[0]
    side = _side(side_name, profile) if side_name in SIDES else None
    return overload_note(side) if side and side.arrivals and side.arrivals.kept_up is False else ""


def _refusal(limit: Limit, profile: ProfileResult) -> str:
    """Return the reason why the samples cannot decide the budget (too few, too short a load); "" if they can."""
    side_name, _, statistic = limit.subject.partition(" ")
    if side_name not in SIDES:
        return ""
    side = _side(side_name, profile)
    reason = side.refused.get(statistic, "") or overload_note(side)
    return reason and f"{side_name} {reason}"


def _side(name: str, profile: ProfileResult) -> SideStatistics:
    return profile.query if name == "query" else profile.corpus
