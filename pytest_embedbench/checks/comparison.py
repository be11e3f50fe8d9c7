"""Results of looking a pair up in a baseline: compared query by query, by means alone, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pytest_embedbench.checks.significance import Tested


class LostQuery(NamedTuple):
    """A query that lost: its values, the documents ranked first, and the ranks of a relevant one (0: not ranked).

    ``relevant`` is the relevant document that the baseline ranked best or, where it ranked none, the best one now.
    Documents are named by their id and their title or first words.
    """

    query_id: str
    text: str
    before: float
    now: float
    first_before: str
    first_now: str
    relevant: str
    rank_before: int
    rank_now: int


@dataclass(frozen=True)
class QueriesCompared:
    """A comparison query by query, tested together with the suite's others.

    ``baseline`` is the baseline's name, ``changed`` what else differs from it. ``lost`` gives the queries that lost
    most; only a failure asks for them.
    """

    tested: Tested
    baseline: str
    changed: Sequence[str]
    lost: Callable[[], Sequence[LostQuery]]


@dataclass(frozen=True)
class MeansCompared:
    """A comparison with a published mean, which has no values per query."""

    before: float
    now: float
    baseline: str


@dataclass(frozen=True)
class NotCompared:
    """No comparison, for a reason."""

    reason: str


@dataclass(frozen=True)
class NewBaseline:
    """No comparison, since the mean becomes the baseline's (``--embed-update-baseline``)."""

    mean: float


Comparison = QueriesCompared | MeansCompared | NotCompared | NewBaseline
