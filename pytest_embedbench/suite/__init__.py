"""The suite: which models x datasets, and the checks each pair must pass.

A suite is read from ``embedbench.toml`` or from ``[tool.embedbench]`` in ``pyproject.toml`` (there, the tables
``[models.X]`` and ``[datasets.X]`` are ``[tool.embedbench.define.models.X]``, since ``models`` is the list). Every
error names the file, the key and the fix, and comes before any model is loaded.
"""

from pytest_embedbench.suite.examinees import Examinee
from pytest_embedbench.suite.names import Overrides
from pytest_embedbench.suite.plan import (
    BudgetCheck,
    Check,
    Pair,
    QualityCheck,
    RegressionCheck,
    SlowdownCheck,
    Suite,
    read_suite,
)
from pytest_embedbench.suite.tables import RegressionTable, Settings

__all__ = [
    "BudgetCheck",
    "Check",
    "Examinee",
    "Overrides",
    "Pair",
    "QualityCheck",
    "RegressionCheck",
    "RegressionTable",
    "Settings",
    "SlowdownCheck",
    "Suite",
    "read_suite",
]
