"""The errors that a user can meet; imports nothing heavy.

* EmbedbenchError
  - ConfigurationError: bad input, found before any model is loaded
  - DatasetError: the files of a dataset cannot be used
  - ModelError: a model cannot be loaded, or its vectors cannot be used
  - ProvenFailure: an evaluation was ended because a limit can no longer be kept
  - ResultError: a result file cannot be read or written
  - BaselineError: a pair cannot be compared with its baseline
  - RatingError: models cannot be rated from the given judgments
  - EndpointError (``remote.errors``): a request to a server failed
  - CardError (``reports.errors``): a page, a template or a card's texts cannot be used

Each has the same three fields, and ``str(error)`` is the only place that puts them together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

MAX_LINE = 2_000
"""Characters of each line of a message; what is beyond them is cut."""
MAX_SHOWN = 20
"""Maximum number of known words in a hint."""


class EmbedbenchError(Exception):
    """Base of every error that the plugin raises on purpose.

    Args:
        problem: what is wrong.
        where: the file and key, or the command-line option, e.g. ``embedbench.toml: checks[1].quality[0]``.
        fix: what to do about it.
    """

    def __init__(self, problem: str, *, where: str = "", fix: str = "") -> None:
        self.where, self.problem, self.fix = where, problem, fix
        super().__init__(problem)

    def __str__(self) -> str:
        message = f"{self.where}: {self.problem}" if self.where else self.problem
        lines = (f"{message}\n  fix: {self.fix}" if self.fix else message).split("\n")
        # A message may quote a file or a server, whose lines can have any length.
        return "\n".join(line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}…" for line in lines)


E = TypeVar("E", bound=EmbedbenchError)


class ConfigurationError(EmbedbenchError):
    """Bad input, found before any model is loaded: where it is, what is wrong and how to correct it."""

    def __init__(self, where: str, problem: str, fix: str = "") -> None:
        super().__init__(problem, where=where, fix=fix)
        # copy and pickle call the class again with ``args``, which therefore must match this signature.
        self.args = (where, problem, fix)


class DatasetError(EmbedbenchError):
    """The files of a dataset cannot be used; the message names the file and, if possible, the line."""


class ModelError(EmbedbenchError):
    """A model cannot be loaded, or gave vectors that cannot be used."""


class ProvenFailure(EmbedbenchError):  # noqa: N818 - a verdict that came early
    """An evaluation was ended early, because a limit can no longer be reached.

    Args:
        subject: the metric.
        limit: the condition on it, e.g. ``>= 0.31``.
        bound: the highest value that the metric can still reach.
        share: share of the corpus, 0 to 1, that proved it.
    """

    def __init__(self, subject: str, limit: str, bound: float, share: float) -> None:
        self.subject, self.limit, self.bound, self.share = subject, limit, bound, share
        super().__init__(f"{subject} <= {bound:.4f} after {share:.0%} of the corpus, must be {limit}")
        self.args = (subject, limit, bound, share)  # for copy and pickle, as above


class ResultError(EmbedbenchError):
    """A result file on disk cannot be read or written; the message names the file, or the folder of results."""


class BaselineError(EmbedbenchError):
    """A pair cannot be compared with its baseline, or a baseline cannot be written; the message says why."""


class RatingError(EmbedbenchError):
    """Models cannot be rated from the judgments given; the message says why and how to correct it."""


def install_command(extra: str) -> str:
    """Return the command that installs an extra of this package."""
    return f"pip install 'pytest-embedbench[{extra}]'"


def needs_extra(extra: str, library: str, error: type[E], *, where: str = "") -> E:
    """Return an error that says which library is missing, with the command that installs the extra as its fix.

    Args:
        extra: the extra of this package that brings the library.
        library: the library that could not be imported.
        error: the class of the error, e.g. ``ModelError`` where a model needs the library.
        where: the file and key, or the option, that needs it.
    """
    return error(where=where, problem=f"{library} is not installed", fix=install_command(extra))


def closest(word: str, known: Iterable[str]) -> str:
    """Return a hint for a misspelt word: ``did you mean 'ndcg'?``, or the known words if none is close."""
    import difflib  # only errors need it, and every pytest session imports this module

    choices = sorted(set(known))
    folded = {choice.casefold(): choice for choice in choices}
    match = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    if match:
        return f"did you mean {folded[match[0]]!r}?"
    more = f" and {len(choices) - MAX_SHOWN} more" if len(choices) > MAX_SHOWN else ""
    return f"known are {', '.join(choices[:MAX_SHOWN])}{more}" if choices else "none are known"
