"""The names of quality measures, as papers write them: ``ndcg@10`` parses to a value and prints back."""

from __future__ import annotations

import re
from typing import NamedTuple

from pytest_embedbench.errors import closest

ALIASES = {
    "ndcg": "ndcg",
    "map": "map",
    "ap": "map",
    "mrr": "mrr",
    "rr": "mrr",
    "recall": "recall",
    "r": "recall",
    "precision": "precision",
    "p": "precision",
}
"""Spellings of the field (nDCG, AP, RR, R, P) and the family each one means."""

_PATTERN = re.compile(r"\s*([A-Za-z]+)\s*@\s*(\d+)\s*")


class Measure(NamedTuple):
    """A family of measures cut at rank ``k``, e.g. ``Measure("ndcg", 10)``; prints as ``ndcg@10``."""

    family: str
    k: int

    def __str__(self) -> str:
        return f"{self.family}@{self.k}"

    @property
    def mteb_name(self) -> str:
        """The key that MTEB's result files use: ``ndcg_at_10``."""
        return f"{self.family}_at_{self.k}"


def parse_measure(text: str) -> Measure:
    """Read ``ndcg@10``, ``nDCG@10``, ``MAP@100``, ``P@5``.

    Raises:
        ValueError: the family is unknown, the cut-off is missing or not a positive number.
    """
    match = _PATTERN.fullmatch(text)
    if not match:
        family = text.partition("@")[0].strip()
        if family.casefold() in ALIASES:
            msg = f"metric {text.strip()!r} has no cut-off; write {ALIASES[family.casefold()]}@10"
        else:
            hint = closest(family, ALIASES)
            msg = f"{text.strip()!r} is not a metric; {hint}{'' if hint.endswith('?') else '.'} Write it as ndcg@10"
        raise ValueError(msg)
    family, k = match.group(1).casefold(), int(match.group(2))
    if family not in ALIASES:
        msg = f"unknown metric {match.group(1)!r}; {closest(family, ALIASES)}"
        raise ValueError(msg)
    if k < 1:
        msg = f"the cut-off of {text.strip()!r} must be 1 or more"
        raise ValueError(msg)
    return Measure(ALIASES[family], k)


DEFAULT_MEASURES = (
    *(Measure("ndcg", k) for k in (1, 3, 5, 10, 100)),
    *(Measure("map", k) for k in (10, 100)),
    *(Measure("mrr", k) for k in (10, 100)),
    *(Measure("recall", k) for k in (1, 5, 10, 100)),
    *(Measure("precision", k) for k in (1, 5, 10)),
)
"""What every evaluation records, beside the measures that the suite asks for."""
