"""The base class of all kinds of checks: everything that pytest, xdist and the engine ask of a check."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from pytest_embedbench.checks.verdict import PairNames, Status, Verdict

if TYPE_CHECKING:
    from pytest_embedbench.checks.evidence import CheckEvidence
    from pytest_embedbench.core.measures import Measure
    from pytest_embedbench.core.thresholds import Limit
    from pytest_embedbench.errors import ProvenFailure

NO_LOAD_PROFILE = "a lexical reference has no load profile"
"""Reason why a check on load is skipped for a model that makes no vectors."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A rule for one pair of model and dataset; a subclass is a kind of check, its fields are the suite's settings.

    A subclass sets ``kind`` and gives ``name``, ``title`` and ``judge``; the other attributes have defaults.
    """

    kind: ClassVar[str]
    """Word before the brackets of a node id; ``-m "embedbench(kind='quality')"`` and ``-k`` select by it."""
    measures_load: ClassVar[bool] = False
    """Whether the check runs alone on its device, since other work would change what it measures."""
    order: ClassVar[int] = 0
    """Position among the items of a session: a higher one comes later."""
    needs_all_pairs: ClassVar[bool] = False
    """Whether the verdict depends on the suite's other pairs; with xdist such checks run on one worker, at the end."""
    judges_ranking: ClassVar[bool] = False
    """Whether the verdict follows from the ranking alone; the summary then tells whether a stored one was used."""

    @property
    def name(self) -> str:
        """The check in a node id, unique for its settings, e.g. ``quality[ndcg@10]``."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """The check as tables and cards write it, e.g. ``b1 c16 query p50``."""
        raise NotImplementedError

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Measures whose means the check needs, so that the evaluation records them."""
        return ()

    @property
    def mean_limit(self) -> Limit | None:
        """A limit on a mean that, once proven missed, may end the evaluation (``--embed-fail-fast``)."""
        return None

    @property
    def needs_ranking(self) -> bool:
        """Whether the corpus must be encoded and searched before the check can be judged."""
        return True

    def judge(self, evidence: CheckEvidence) -> Verdict:
        """Return the verdict on the pair that ``evidence`` measures.

        Raises:
            EmbedbenchError: model or data cannot be used, or something could not be measured.
        """
        raise NotImplementedError

    def judge_unscored(self, pair: PairNames, problem: str, fix: str) -> Verdict | None:  # noqa: ARG002
        """Return the verdict on a pair whose dataset cannot be scored; None to judge the pair as usual.

        Called before the model is loaded.

        Args:
            pair: the names of the pair.
            problem: why no query of the dataset can be scored.
            fix: what to do about it.
        """
        return None

    def judge_ended(self, pair: PairNames, failure: ProvenFailure) -> Verdict:
        """Return the verdict after an evaluation that ended early, because some limit is proven missed.

        By default the check is skipped: the proof says nothing about limits other than its own.
        """
        reason = f"the evaluation was ended early: {failure}"
        return Verdict(model=pair.model, dataset=pair.dataset, check=self.name, status="skipped", explanation=reason)

    def verdict(
        self,
        pair: PairNames,
        status: Status,
        *,
        measured: str = "",
        limit: str = "",
        value: float | None = None,
        explanation: str = "",
    ) -> Verdict:
        """Return a verdict of this check under its title."""
        return Verdict(
            model=pair.model,
            dataset=pair.dataset,
            check=self.title,
            status=status,
            measured=measured,
            limit=limit,
            value=value,
            explanation=explanation,
        )
