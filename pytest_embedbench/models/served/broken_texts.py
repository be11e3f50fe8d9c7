"""Texts that a server does not encode, even alone: collected, so that one error names all of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.served.refusals import BREAKS_FIX, REFUSED_FIX, is_server_failure, says_too_long
from pytest_embedbench.models.text_errors import UnusableText, UnusableTextsError
from pytest_embedbench.remote.errors import EndpointError

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import PreparedText, ServedEncoder

MAX_TEXTS = 100
"""Texts after which no more are asked for."""

MAX_IN_A_ROW = 10
"""Texts refused for an unknown reason, without one encoded between them, after which an ordinary text is asked for. If
that is refused too, the texts are not the reason."""


MIN_LONG_CHARACTERS = 40
"""Characters; a text of this length is too long for no server."""


class BrokenTexts:
    """Texts without a usable vector, and what is wrong with each."""

    def __init__(self, model: ServedEncoder, role: Role) -> None:
        self._model, self._role = model, role
        self._texts: list[UnusableText] = []
        self._fixes: dict[str, None] = {}
        self._in_a_row = 0
        self._refused_length: float = math.inf
        """Characters of the shortest stand-in that was refused."""
        self._taken_length = 0
        """Characters of the longest stand-in that was encoded."""
        self.enough = False
        """Whether so many texts are broken that asking for others is of no use."""

    def encoded(self) -> None:
        """Note that some other text was encoded."""
        self._in_a_row = 0

    def add(self, text: str, prepared: PreparedText, reason: EndpointError | str) -> None:
        """Add a text.

        Args:
            text: the text.
            prepared: the text as it was sent.
            reason: the server's error for this text alone; or a sentence about its vector, with ``{}`` for the text.
        """
        if isinstance(reason, str):
            problem, fix = reason, BREAKS_FIX
        elif says_too_long(reason) or self._refuses_length(text, prepared):
            problem, fix = (
                f"{{}} is too long for the server: {reason.problem}",
                self._model.too_long_fix(reason.problem),
            )
        else:
            breaks = is_server_failure(reason)
            problem = f"{{}} {'breaks' if breaks else 'is refused by'} the server: {reason.problem}"
            fix = BREAKS_FIX if breaks else REFUSED_FIX
            self._in_a_row += 1
        self._texts.append(UnusableText(text, problem))
        self._fixes[fix] = None
        if self._in_a_row >= MAX_IN_A_ROW:
            self._in_a_row = 0
            self.enough = not self._encodes(prepared, MIN_LONG_CHARACTERS)
        self.enough = self.enough or len(self._texts) >= MAX_TEXTS

    def _refuses_length(self, text: str, prepared: PreparedText) -> bool:
        """Whether the server also refuses an ordinary text of the same length, but not a short one.

        So a text that is too long is known as such whatever words, and whichever language, the server has for it.
        """
        characters = len(text)
        if max(MIN_LONG_CHARACTERS, self._taken_length) < characters < self._refused_length:
            if self._encodes(prepared, characters) or not self._encodes(prepared, MIN_LONG_CHARACTERS):
                self._taken_length = characters
            else:
                self._refused_length = characters
        return characters >= self._refused_length

    def _encodes(self, prepared: PreparedText, characters: int) -> bool:
        try:
            self._model.submit([self._model.stand_in(prepared, characters)], self._role).result()
        except ModelError:
            return False
        return True

    def raise_any(self, failure: ModelError | None) -> None:
        """Raise one error for all texts; nothing if there are none.

        Args:
            failure: what ended the requests early, if anything did.

        Raises:
            UnusableTextsError: there are some.
        """
        if self._texts:
            raise UnusableTextsError(
                self._texts,
                self._role,
                complete=not (self.enough or failure),
                more=[f"then: {failure.problem}"] if failure else [],
                where=self._model.where,
                fix="; ".join(self._fixes),
            )
