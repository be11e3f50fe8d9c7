"""All kinds of checks. A new kind needs a line here, and one in ``suite.plan`` that makes its instances."""

from __future__ import annotations

from pytest_embedbench.checks.budget import BudgetCheck
from pytest_embedbench.checks.check import Check
from pytest_embedbench.checks.max_rate import MaxRateCheck
from pytest_embedbench.checks.quality import QualityCheck
from pytest_embedbench.checks.regression import RegressionCheck
from pytest_embedbench.checks.slowdown import SlowdownCheck

CHECKS: tuple[type[Check], ...] = (QualityCheck, BudgetCheck, MaxRateCheck, SlowdownCheck, RegressionCheck)
