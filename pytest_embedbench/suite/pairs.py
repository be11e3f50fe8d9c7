"""A model on a dataset, with the checks that a suite has for it."""

from __future__ import annotations

import msgspec

from pytest_embedbench.checks.check import Check
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.models.spec import NamedModel


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one dataset with the checks it must pass."""

    model: NamedModel
    dataset: NamedDataset
    checks: tuple[Check, ...]
