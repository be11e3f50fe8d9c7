"""Latency, throughput, load-time and memory budgets, such as ``query p50 <= 160 ms``."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_embedbench.checks.margin import compared
from pytest_embedbench.checks.verdict import Status, Verdict
from pytest_embedbench.core.limits import SIDES, Limit
from pytest_embedbench.load.notes import overload_note
from pytest_embedbench.load.quantiles import Interval
from pytest_embedbench.load.statistics import ProfileResult, SideStatistics
from pytest_embedbench.machine.environment import matches_hardware
from pytest_embedbench.suite.checks import BudgetCheck

OVERLOAD = "did not keep up"

RATE_FIELDS = {"tok/s": "tokens_per_s", "texts/s": "texts_per_s", "requests/s": "requests_per_s"}


def check_budget(
    model: str,
    dataset: str,
    check: BudgetCheck,
    profile: ProfileResult,
    load_seconds: float | None,
    memory: Mapping[str, int],
) -> Verdict:
    """Compare a profile with a budget. A budget for other hardware is skipped, with the value it would have had."""
    limit = check.limit
    if limit is None:
        return Verdict(
            model=model,
            dataset=dataset,
            check=profile.shape,
            status="measured",
            measured=f"query {_latency(profile.query)}, corpus {_speed(profile.corpus)}",
            explanation=f"{profile.shape}: {profile.note}" if profile.note else "",
        )
    name = f"{profile.shape} {limit.subject}"
    value, refusal = measured_value(limit, profile, load_seconds, memory), _refusal(limit, profile)
    if why := _overload(limit, profile):
        # Whatever was measured: it depends on how long that went on.
        measured, holds, told = OVERLOAD, False, f"{name} must be {limit.show_bound()}: {why}"
    elif value is not None and not refusal:
        measured, holds = limit.show(value), limit.holds(value)
        told = compared(name, value, limit, measured_interval(limit, profile))
    else:
        reason = refusal or f"{limit.subject} was not measured here"
        return Verdict(
            model=model, dataset=dataset, check=name, status="skipped", limit=limit.show_bound(), explanation=reason
        )
    status, explanation = binding(check, profile.hardware, holds=holds, told=told)
    return Verdict(
        model=model,
        dataset=dataset,
        check=name,
        status=status,
        measured=measured,
        limit=limit.show_bound(),
        value=value,
        explanation=explanation,
    )


def binding(check: BudgetCheck, hardware: str, *, holds: bool, told: str) -> tuple[Status, str]:
    """The verdict's status and explanation: ``told``, or why the budget does not bind on this hardware."""
    if check.hardware and not matches_hardware(check.hardware, hardware):
        return "skipped", f"binds on {check.hardware}; this is {hardware}"
    return "passed" if holds else "failed", told


def measured_interval(limit: Limit, profile: ProfileResult) -> Interval | None:
    """The 95% interval of what ``measured_value`` gives, in the base unit; None where there is none."""
    side_name, _, statistic = limit.subject.partition(" ")
    if side_name not in SIDES:
        return None
    side = _side(side_name, profile)
    return (
        side.intervals_per_s.get(RATE_FIELDS[limit.unit])
        if statistic == "throughput"
        else side.intervals_ms.get(statistic)
    )


def measured_value(
    limit: Limit, profile: ProfileResult, load_seconds: float | None, memory: Mapping[str, int]
) -> float | None:
    """What the budget's subject measured, in the base unit; None where it was not measured."""
    if limit.subject == "cold start":
        return None if load_seconds is None else load_seconds * 1000
    if limit.subject == "memory":
        peak = memory.get("device", memory.get("process"))
        return None if peak is None else float(peak)
    side_name, _, statistic = limit.subject.partition(" ")
    side = _side(side_name, profile)
    field = RATE_FIELDS[limit.unit] if statistic == "throughput" else f"{statistic}_ms"
    value: float | None = getattr(side, field)
    return value


def _latency(side: SideStatistics) -> str:
    if side.arrivals and side.arrivals.kept_up is False:
        return OVERLOAD
    return f"mean {side.mean_ms:.1f} ms" if side.p50_ms is None else f"p50 {side.p50_ms:.1f} ms"


def _speed(side: SideStatistics) -> str:
    """Of an open loop, whose throughput is what was asked for, the latency."""
    return _latency(side) if side.arrivals else f"{side.tokens_per_s:,.0f} tok/s"


def _overload(limit: Limit, profile: ProfileResult) -> str:
    """Why there is no latency to speak of; "" where there may be one, and of load time and memory."""
    side_name = limit.subject.partition(" ")[0]
    side = _side(side_name, profile) if side_name in SIDES else None
    return overload_note(side) if side and side.arrivals and side.arrivals.kept_up is False else ""


def _refusal(limit: Limit, profile: ProfileResult) -> str:
    """Why the samples do not tell the budget's latency: too few, or too short a load; "" where they do."""
    side_name, _, statistic = limit.subject.partition(" ")
    if side_name not in SIDES:
        return ""
    side = _side(side_name, profile)
    why = side.refused.get(statistic, "") or overload_note(side)
    return why and f"{side_name} {why}"


def _side(name: str, profile: ProfileResult) -> SideStatistics:
    return profile.query if name == "query" else profile.corpus
