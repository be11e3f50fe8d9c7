"""Summarize a run of the judge for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pytest_embedbench.rating.bias import position_bias
from pytest_embedbench.rating.judges.llm import Account
from pytest_embedbench.rating.judgments import Judgment
from pytest_embedbench.rating.ratings import PositionBias

MILLION = 1_000_000


def cost_usd(account: Account, prices: tuple[float, float] | None) -> float | None:
    """Return the cost of this run's tokens in US dollars; None without prices, or if the server did not count tokens.

    Args:
        account: the counts of the run.
        prices: US dollars per million tokens of prompts and of answers.
    """
    # A sum over the answers that were counted would look like the whole cost.
    if prices is None or account.uncounted:
        return None
    return (account.prompt_tokens * prices[0] + account.completion_tokens * prices[1]) / MILLION


def records(judgments: Iterable[Judgment]) -> list[list[str | int]]:
    """Return rows of model, wins, losses, ties; most wins first."""
    wins, losses, ties = Counter[str](), Counter[str](), Counter[str]()
    for judgment in judgments:
        a, b = judgment.model_a, judgment.model_b
        if judgment.outcome == "tie":
            ties.update((a, b))
        else:
            wins[a if judgment.outcome == "a" else b] += 1
            losses[b if judgment.outcome == "a" else a] += 1
    models = sorted({*wins, *losses, *ties}, key=lambda model: (-wins[model], losses[model], model))
    return [[model, wins[model], losses[model], ties[model]] for model in models]


def summary(
    account: Account, judgments: Sequence[Judgment], prices: tuple[float, float] | None, seconds: float
) -> Iterator[str]:
    """Yield lines: first this run's counts, then every model's record over all judgments of the file."""
    from tabulate import tabulate

    same = f" ({account.same} without asking: same lists)" if account.same else ""
    yield f"judgments  {account.judged} made{same}, {account.resumed} kept from before, {len(account.failures)} failed"
    if account.failures:
        yield f"  first failure: {account.failures[0]}"
    tokens = f"{account.prompt_tokens:,} tokens in prompts, {account.completion_tokens:,} in answers"
    yield f"answers    {account.requests:,}: {tokens}"
    if account.uncounted:
        yield f"  the server did not count the tokens of {account.uncounted:,} of them"
    if (cost := cost_usd(account, prices)) is not None:
        yield f"cost       {cost:.4f} USD"
    yield f"time       {seconds:.1f} s"
    if account.note:
        yield f"note       {account.note}"
    if not judgments:
        return
    if (bias := position_bias(judgments)) is not None:
        yield f"position   {_bias_text(bias)}"
    yield ""
    yield tabulate(records(judgments), headers=["model", "won", "lost", "tied"])


def _bias_text(bias: PositionBias) -> str:
    parts = []
    if bias.flip is not None:
        parts.append(f"{bias.flip:.1%} of {bias.questions} questions had another winner when the order was reversed")
    if bias.first_wins is not None:
        parts.append(f"{bias.first_wins:.1%} of decided verdicts went to the list shown first (50% is fair)")
    return "; ".join(parts)
