"""Judgments: which of two models answered one query better, with everything needed to audit the answer."""

from __future__ import annotations

from typing import Literal

import msgspec

from pytest_embedbench.core.bounded import Amount, Count

JudgedSide = Literal["a", "b"]
"""One of the two models of a judgment."""
Preference = Literal["a", "b", "tie"]
"""The better side, or neither."""


class JudgeTrial(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request to a judge: the side shown first, and the answer. Tokens are as the endpoint counted them."""

    first_shown: JudgedSide
    outcome: Preference
    reason: str = ""
    prompt_sha256: str = ""
    reply: str = ""
    """The judge's answer, verbatim."""
    prompt_tokens: Count = 0
    completion_tokens: Count = 0


class Judgment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One query and two models; ``outcome`` says whose list of documents is better, or that neither is.

    The field names are those of published judgment files, so that such files can be read as they are.
    """

    dataset: str
    query_id: str
    model_a: str
    model_b: str
    outcome: Preference
    first_shown: JudgedSide | Literal[""] = ""
    """The side whose list the judge saw first; empty if it saw both orders, or none."""
    repeat: Count = 0
    """1 if an earlier judgment asked the same question."""
    judge: str = ""
    """The judge and its rule: ``qrels ndcg@10 margin 0.01``, ``llm gpt-5``."""
    values: tuple[Amount, Amount] | None = None
    """The values of a and b that a judge by measure compared."""
    top_a: tuple[str, ...] = ()
    """Ids of the documents that were compared, best first."""
    top_b: tuple[str, ...] = ()
    run_a: str = ""
    """sha256 of the run that the list of ``model_a`` was taken from."""
    run_b: str = ""
    trials: tuple[JudgeTrial, ...] = ()
    note: str = ""
    """A remark, e.g. that both lists were the same, so that the judge was not asked."""
