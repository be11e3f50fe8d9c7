"""Errors of single texts: those that a model cannot encode, or whose vectors cannot be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pytest_embedbench.errors import ModelError

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role

MAX_NAMED = 5
"""Texts that a message names; of the others it gives the number."""

MAX_SHOWN_CHARACTERS = 80
"""Characters of a text that a message shows."""

BROKEN_VECTOR = "the vector of {} is NaN or infinite"
"""What is wrong with a text whose vector cannot be used."""

ZERO_VECTOR = "the vector of {} is zero, so that it is similar to nothing"
"""The same of a vector without a direction."""


class UnusableText(NamedTuple):
    """A text, and what is wrong with it: a sentence with ``{}`` where the text's name stands."""

    text: str
    problem: str


class UnusableTextsError(ModelError):
    """Some texts have no usable vector; the message names the first of them and counts all.

    Args:
        texts: the texts.
        role: query or document.
        ids: text -> id in the dataset, as far as it is known.
        more: lines below the message, e.g. how many texts were encoded.
        complete: whether these are all such texts; otherwise others were not asked for any more.
        where: the model.
        fix: what to do about it.
    """

    def __init__(
        self,
        texts: Sequence[UnusableText],
        role: Role,
        *,
        ids: Mapping[str, str] | None = None,
        more: Sequence[str] = (),
        complete: bool = True,
        where: str = "",
        fix: str = "",
    ) -> None:
        self.texts, self.role, self.ids, self.more, self.complete = texts, role, ids or {}, more, complete
        lines = [self._line(text) for text in texts[:MAX_NAMED]]
        if len(texts) > 1:
            plural = "queries" if role == "query" else "documents"
            least = "" if complete else "at least "
            left = len(texts) - len(lines)
            lines = [
                f"{least}{len(texts):,} {plural} have no usable vector:",
                *(f"  {line}" for line in lines),
                *([f"  and {left:,} more"] if left else []),
            ]
        super().__init__("\n".join([*lines, *(f"  {line}" for line in more)]), where=where, fix=fix)
        self.args = (texts, role)

    def _line(self, unusable: UnusableText) -> str:
        text = unusable.text
        name = f"{self.role} {self.ids[text]}" if text in self.ids else f"this {self.role}"
        # Not str.format: the rest of the sentence may be a server's, with braces of its own.
        sentence = unusable.problem.replace("{}", name, 1)
        length = f"{len(text):,} character{'' if len(text) == 1 else 's'}"
        return f"{sentence} ({length}: {_beginning(text)!r})"

    def naming(self, ids: Mapping[str, str]) -> UnusableTextsError:
        """Return the error with the ids of its texts, in their order; text -> id."""
        place = {text: number for number, text in enumerate(ids)}
        texts = sorted(self.texts, key=lambda unusable: place.get(unusable.text, len(place)))
        return self._with(ids=ids, texts=texts)

    def after(self, earlier: UnusableTextsError | None) -> UnusableTextsError:
        """Return one error for these texts and those of an earlier error of the same model and role."""
        if earlier is None:
            return self
        fixes = dict.fromkeys([*earlier.fix.split("; "), *self.fix.split("; ")])
        joined = self._with(texts=[*earlier.texts, *self.texts], more=[*earlier.more, *self.more])
        joined.fix = "; ".join(fixes)
        return joined

    def saying(self, line: str) -> UnusableTextsError:
        """Return the error with one more line below its message."""
        return self._with(more=[*self.more, line])

    def at(self, where: str) -> UnusableTextsError:
        """Return the error with the model that it is about."""
        return self._with(where=where)

    def _with(
        self,
        *,
        texts: Sequence[UnusableText] = (),
        ids: Mapping[str, str] | None = None,
        more: Sequence[str] | None = None,
        where: str = "",
    ) -> UnusableTextsError:
        return UnusableTextsError(
            texts or self.texts,
            self.role,
            ids=self.ids if ids is None else ids,
            more=self.more if more is None else more,
            complete=self.complete,
            where=where or self.where,
            fix=self.fix,
        )


def _beginning(text: str) -> str:
    line = " ".join(text[: 2 * MAX_SHOWN_CHARACTERS].split())
    return line if len(line) <= MAX_SHOWN_CHARACTERS else f"{line[:MAX_SHOWN_CHARACTERS]}..."
