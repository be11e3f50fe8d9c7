"""The errors a user can meet, each with one clear message; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable

MOST_SHOWN = 20


class EmbedbenchError(Exception):
    """Base of every error that the plugin raises on purpose."""


class ConfigurationError(EmbedbenchError):
    """Bad input: names where it stands, what is wrong and how to mend it. Raised before any model is loaded.

    Args:
        where: the file and key, or the command-line option, e.g. ``embedbench.toml: checks[1].quality[0]``.
        problem: what is wrong there.
        fix: what to write instead.
    """

    def __init__(self, where: str, problem: str, fix: str = "") -> None:
        self.where, self.problem, self.fix = where, problem, fix
        super().__init__(f"{where}: {problem}" + (f"\n  fix: {fix}" if fix else ""))


class DatasetError(EmbedbenchError):
    """A dataset's files cannot be used; the message names the file and, where there is one, the line."""


class ModelError(EmbedbenchError):
    """A model cannot be loaded or gave vectors that cannot be used."""


class ProvenFailure(EmbedbenchError):  # noqa: N818 - a verdict that came early
    """An evaluation was ended, since a limit can no longer be kept.

    ``subject`` is the measure, ``limit`` what was asked of it (``>= 0.31``), ``bound`` the most that it can still
    become, ``share`` that of the corpus which proved it.
    """

    def __init__(self, subject: str, limit: str, bound: float, share: float) -> None:
        self.subject, self.limit, self.bound, self.share = subject, limit, bound, share
        super().__init__(f"{subject} <= {bound:.4f} after {share:.0%} of the corpus, must be {limit}")


class ResultError(EmbedbenchError):
    """A result file on disk cannot be read; the message names the file."""


class BaselineError(EmbedbenchError):
    """A pair cannot be compared with its baseline, or a baseline cannot be written; the message says why."""


class RatingError(EmbedbenchError):
    """Models cannot be rated from the judgments given; the message says why and how to mend it."""


def closest(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word: ``did you mean 'ndcg'?`` or, with nothing close, the known words (20 at most)."""
    import difflib  # only errors need it, and every pytest session imports this module

    choices = sorted(set(known))
    folded = {choice.casefold(): choice for choice in choices}
    match = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    if match:
        return f"did you mean {folded[match[0]]!r}?"
    more = f" and {len(choices) - MOST_SHOWN} more" if len(choices) > MOST_SHOWN else ""
    return f"known are {', '.join(choices[:MOST_SHOWN])}{more}" if choices else "none are known"
