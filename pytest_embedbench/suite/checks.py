"""The checks of a suite, as values."""

from __future__ import annotations

from typing import Literal

import msgspec

from pytest_embedbench.core.limits import Limit, RateLimit
from pytest_embedbench.core.measures import Measure
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.load.shape import LoadShape, Shape
from pytest_embedbench.models.spec import NamedModel

Side = Literal["query", "corpus"]


class QualityCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A measure and its limit; without a limit the value is only reported."""

    measure: Measure
    limit: Limit | None = None


class BudgetCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A load profile and a budget on it; ``hardware`` is where the budget binds ("" is everywhere).

    A max rate has a load of its own, of which the profile says how many texts a request has.
    """

    shape: Shape
    limit: Limit | None = None
    hardware: str = ""

    @property
    def rate_search(self) -> str:
        """What is searched for, with a max rate: ``b1 query at p99 <= 500 ms``; "" where the profile is measured."""
        limit = self.limit
        if not isinstance(limit, RateLimit):
            return ""
        return f"b{self.shape.batch} {limit.side} at p99 <= {limit.latency.bound:.12g} ms"


class RegressionCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A measure whose mean may not fall by more than ``max_drop`` below the baseline's, where that is significant."""

    measure: Measure
    max_drop: float
    confidence: float


class SlowdownCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a load under which a model may take at most ``max_slowdown`` times as long as another one."""

    shape: LoadShape
    side: Side
    against: NamedModel
    max_slowdown: float
    confidence: float


Check = QualityCheck | BudgetCheck | RegressionCheck | SlowdownCheck


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one dataset with the checks it must pass."""

    model: NamedModel
    dataset: NamedDataset
    checks: tuple[Check, ...]


def check_kind(check: Check) -> str:
    kinds: dict[type[Check], str] = {
        QualityCheck: "quality",
        BudgetCheck: "budget",
        SlowdownCheck: "slowdown",
        RegressionCheck: "regression",
    }
    return kinds[type(check)]


def check_name(check: Check) -> str:
    if isinstance(check, SlowdownCheck):
        return f"slowdown[{check.shape.slug}-{check.side}]"
    if not isinstance(check, BudgetCheck):
        return f"{check_kind(check)}[{check.measure}]"
    subject = f"-{check.limit.subject.replace(' ', '-')}" if check.limit else ""
    return f"budget[{check.shape.slug}{subject}]"
