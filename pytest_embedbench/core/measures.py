"""Quality measures by name, as papers write them: ``ndcg@10`` is parsed to a value that prints as ``ndcg@10``.

``ALIASES`` has the known metrics, ``DEFAULT_MEASURES`` those that every evaluation records. ``evaluate/metrics.py``
computes them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pytest_embedbench.core.bounds import MAX_DEPTH
from pytest_embedbench.core.parsing import ParseError, bounded_int, refuse_long, shortened
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
"""The known metrics: spellings of the field (nDCG, AP, RR, R, P), and the family that each one means."""

_MEASURE = re.compile(r"\s*([A-Za-z]+)\s*@\s*(\d+)\s*")


class Measure(NamedTuple):
    """A family of measures cut at rank ``k``, e.g. ``Measure("ndcg", 10)``; prints as ``ndcg@10``."""

    family: str
    k: int

    def __str__(self) -> str:
        return f"{self.family}@{self.k}"

    @property
    def mteb_name(self) -> str:
        """The key in MTEB's result files: ``ndcg_at_10``."""
        return f"{self.family}_at_{self.k}"


DEFAULT_MEASURES = (
    *(Measure("ndcg", k) for k in (1, 3, 5, 10, 100)),
    *(Measure("map", k) for k in (10, 100)),
    *(Measure("mrr", k) for k in (10, 100)),
    *(Measure("recall", k) for k in (1, 5, 10, 100)),
    *(Measure("precision", k) for k in (1, 5, 10)),
)
"""Measures that every evaluation records, beside those that the suite asks for."""

MAIN_MEASURE = Measure("ndcg", 10)
"""The measure that is reported and compared where the user names none: MTEB's main score for retrieval."""


def parse_measure(text: str) -> Measure:
    """Read ``ndcg@10``, ``nDCG@10``, ``MAP@100``, ``P@5``.

    Raises:
        ParseError: the family is unknown, or the cut-off is missing or not a number from 1 to ``MAX_DEPTH``.
    """
    refuse_long(text)
    match = _MEASURE.fullmatch(text)
    if not match:
        family = text.partition("@")[0].strip()
        if family.casefold() in ALIASES:  # there is no default rank: papers differ
            raise ParseError(f"metric {text.strip()!r} has no cut-off", f"write {ALIASES[family.casefold()]}@10")
        hint = closest(family, ALIASES)
        fix = f"{hint}{'' if hint.endswith('?') else '.'} Write it as ndcg@10"
        raise ParseError(f"{text.strip()!r} is not a metric", fix)
    family, k = match.group(1).casefold(), cutoff(match.group(2))
    if family not in ALIASES:
        raise ParseError(f"unknown metric {match.group(1)!r}", closest(family, ALIASES))
    if k is None:
        raise ParseError(f"the cut-off of {shortened(text.strip())!r} must be a number from 1 to {MAX_DEPTH:,}")
    return Measure(ALIASES[family], k)


def cutoff(digits: str) -> int | None:
    """Return the cut-off that these decimal digits write; None if it is not from 1 to ``MAX_DEPTH``."""
    k = bounded_int(digits, MAX_DEPTH)
    return k or None
