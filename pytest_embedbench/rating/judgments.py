"""A judgment says which of two models answered one query better; everything needed to audit it stands beside it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Side = Literal["a", "b"]
Outcome = Literal["a", "b", "tie"]


class Trial(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One time that a judge was asked: what it saw first, what it said. Tokens as the endpoint counted them."""

    first_shown: Side
    outcome: Outcome
    reason: str = ""
    prompt_sha256: str = ""
    reply: str = ""
    """The judge's answer, word by word."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Judgment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One query and two models: ``outcome`` says whose list is better, or that neither is.

    Field names are those of published judgment files, so that these import as they are.
    """

    dataset: str
    query_id: str
    model_a: str
    model_b: str
    outcome: Outcome
    first_shown: Side | Literal[""] = ""
    """Whose list the judge saw first; empty where it saw both orders, or none."""
    repeat: Annotated[int, msgspec.Meta(ge=0)] = 0
    """1 where an earlier judgment asked the same question."""
    judge: str = ""
    """Who judged, and by which rule: ``qrels ndcg@10 margin 0.01``, ``llm gpt-5``."""
    values: tuple[float, float] | None = None
    """What a judge by measure compared, of a and of b."""
    top_a: tuple[str, ...] = ()
    """Ids of the documents that were compared, best first."""
    top_b: tuple[str, ...] = ()
    run_a: str = ""
    """sha256 of the run that the list was taken from."""
    run_b: str = ""
    trials: tuple[Trial, ...] = ()
    note: str = ""
    """What else must be known of it, e.g. that both lists were the same, so that nobody was asked."""
