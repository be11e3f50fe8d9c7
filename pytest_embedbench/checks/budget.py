"""Latency, throughput, load-time and memory budgets, such as ``query p50 <= 160 ms``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pytest_embedbench.checks.check import NO_LOAD_PROFILE, Check
from pytest_embedbench.checks.margin import AT_LEAST, CLIENT_LIMITED, compare_to_limit
from pytest_embedbench.checks.verdict import PairNames, Status, Verdict
from pytest_embedbench.core.thresholds import SIDES, Limit
from pytest_embedbench.load.notes import busy_note, is_client_limited, overload_note
from pytest_embedbench.load.quantiles import PERCENTILES, min_samples
from pytest_embedbench.load.shape import Shape
from pytest_embedbench.load.statistics import TOKENS_FROM
from pytest_embedbench.machine.environment import UNSTATED_HARDWARE, matches_hardware

if TYPE_CHECKING:
    from pytest_embedbench.checks.evidence import CheckEvidence, LoadEvidence
    from pytest_embedbench.load.quantiles import Interval
    from pytest_embedbench.load.statistics import ProfileResult, SideStatistics

BINDS_ON = "binds on "
"""Start of the explanation of a budget for other hardware; the hardware's name follows, and a semicolon."""

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

    @property
    def needs_ranking(self) -> bool:
        # The peak of memory may be reached while the corpus is encoded; a load needs only its own texts.
        return self.limit is not None and self.limit.subject == "memory"

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

    @property
    def samples(self) -> dict[str, int]:
        """The samples that the budget needs of a side; empty where it needs no certain number."""
        side, _, statistic = self.limit.subject.partition(" ") if self.limit else ("", "", "")
        return {side: min_samples(PERCENTILES[statistic])} if side in SIDES and statistic in PERCENTILES else {}

    def binds_on(self, hardware: str) -> bool:
        """Whether the budget holds for a machine, given by its own name for its hardware."""
        return not self.hardware or matches_hardware(self.hardware, hardware)

    def bind(self, hardware: str, *, holds: bool, explanation: str) -> tuple[Status, str]:
        """Return status and explanation of a verdict; on other hardware the reason why the budget does not bind."""
        if not self.binds_on(hardware):
            here = f"this is {hardware}"
            if hardware == UNSTATED_HARDWARE:
                here = "the server's is not stated: give hardware in the model's definition"
            return "skipped", f"{BINDS_ON}{self.hardware}; {here}"
        return "passed" if holds else "failed", explanation


def judge_load(pair: PairNames, check: BudgetCheck, load: LoadEvidence) -> Verdict:
    """Compare a profile with a budget; a budget for other hardware is skipped, and still shows the measured value.

    A budget that the samples cannot decide fails: a gate that checks nothing must not be green.
    """
    limit, profile = check.limit, load.profile
    if limit is None:
        return check.verdict(
            pair,
            "measured",
            measured=f"query {_latency(profile.query)}, corpus {_speed(profile.corpus)}",
            explanation=f"{profile.shape}: {profile.note}" if profile.note else "",
        )
    value, refusal = measured_value(limit, load), _refusal(limit, profile)
    measured = ""
    if overload := _overload(limit, profile):
        # A latency under overload depends on how long the load went on, so no measured value can pass.
        measured, holds = OVERLOAD, False
        explanation = f"{check.title} must be {limit.show_bound()}: {overload}"
    elif value is not None and not refusal:
        at_least = _is_lower_bound(limit, profile)
        measured, holds = (AT_LEAST if at_least else "") + limit.show(value), limit.holds(value)
        interval = measured_interval(limit, profile)
        explanation = compare_to_limit(check.title, value, limit, interval, at_least=at_least)
        explanation += (CLIENT_LIMITED if at_least else "") + _sent_again(limit, profile) + _busy(limit, profile)
    else:
        holds, reason = False, refusal or f"{limit.subject} was not measured here"
        explanation = f"{check.title} must be {limit.show_bound()}, which cannot be decided: {reason}"
    status, explanation = check.bind(profile.hardware, holds=holds, explanation=explanation)
    shown = value if measured else None
    return check.verdict(
        pair, status, measured=measured, limit=limit.show_bound(), value=shown, explanation=explanation
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
    if side.arrivals:
        return _latency(side)
    source = TOKENS_FROM[side.tokens_from or "tokenizer"]
    at_least = AT_LEAST if is_client_limited(side) else ""
    return f"{at_least}{side.tokens_per_s:,.0f} tok/s{source and f' ({source})'}"


def _overload(limit: Limit, profile: ProfileResult) -> str:
    """Return the reason why the side has no steady latency; "" if it may have one, and for load time and memory."""
    side_name = limit.subject.partition(" ")[0]
    side = _side(side_name, profile) if side_name in SIDES else None
    return overload_note(side) if side and side.arrivals and side.arrivals.kept_up is False else ""


def _refusal(limit: Limit, profile: ProfileResult) -> str:
    """Return why the samples cannot decide the budget (too few, too short a load), with the fix; "" if they can."""
    side_name, _, statistic = limit.subject.partition(" ")
    if side_name not in SIDES:
        return ""
    side = _side(side_name, profile)
    reason = side.refused.get(statistic, "")
    if limit.unit == "tok/s" and side.tokens_from not in {None, "tokenizer"}:
        reason = f"tokens are {TOKENS_FROM[side.tokens_from or 'tokenizer']}, not counted by the model's tokenizer"
        fix = "give tokenizer in the model's definition, a folder or Hub id with its tokenizer.json; or limit texts/s"
    elif reason:
        reason += f" after {side.seconds:,.0f} s"
        fix = f"measure longer, with --embed-profile-seconds={_enough_seconds(side, PERCENTILES[statistic])} or more"
        if side.arrivals is None:
            fix += ", or with more requests in flight"
        reached = [name for name in PERCENTILES if name not in side.refused]
        fix += f"; or set the budget on {reached[-1]}, which has its samples" if reached else ""
    else:
        reason, fix = overload_note(side), "measure longer, with a larger --embed-profile-seconds"
    return reason and f"{side_name} {reason}\n  fix: {fix}"


def _enough_seconds(side: SideStatistics, share: float) -> int:
    """Return the ``--embed-profile-seconds`` within which a side gets the samples of the ``share`` quantile."""
    rate = side.arrivals.rate_per_s if side.arrivals else side.requests_per_s
    return max(1, math.ceil(min_samples(share) / rate))


def _is_lower_bound(limit: Limit, profile: ProfileResult) -> bool:
    """Whether the budget is on a rate that the load client has limited."""
    side_name, _, statistic = limit.subject.partition(" ")
    return statistic == "throughput" and is_client_limited(_side(side_name, profile))


def _busy(limit: Limit, profile: ProfileResult) -> str:
    """Return what else the machine did during the load, to follow an explanation; "" if nothing disturbed it."""
    note = busy_note(profile.circumstances) if limit.subject.partition(" ")[0] in SIDES else ""
    return note and f"; {note}"


def _sent_again(limit: Limit, profile: ProfileResult) -> str:
    """Return how often each text was sent, where there were too few for the samples; "" elsewhere."""
    side_name = limit.subject.partition(" ")[0]
    side = _side(side_name, profile) if side_name in SIDES else None
    if side is None or side.distinct_texts >= side.texts:
        return ""
    least, more = divmod(side.texts, side.distinct_texts)
    times = f"{least} or {least + 1}" if more else f"{least}"
    texts = f"{side.distinct_texts:,} texts, each" if side.distinct_texts > 1 else "one text,"
    return f"; from {texts} sent {times} times"


def _side(name: str, profile: ProfileResult) -> SideStatistics:
    return profile.query if name == "query" else profile.corpus
