"""A secret that does not print, and that can be taken out of texts."""

from __future__ import annotations

from urllib.parse import quote

SHORTEST = 8
"""Shorter keys are no secrets but what servers without keys are given (``EMPTY``, ``ollama``); texts keep them."""
MASK = "[API key]"


class Secret:
    """An API key, or none (""). Its ``repr`` does not show it, so neither do tracebacks with local variables."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Secret({MASK!r})" if self else "Secret('')"

    def headers(self) -> dict[str, str]:
        """The header that carries it, or none."""
        return {"Authorization": f"Bearer {self._value}"} if self else {}

    def redacted(self, text: str) -> str:
        """The text without the secret, also where JSON or a URL spells it with escapes."""
        if len(self._value) < SHORTEST:
            return text
        for spelling in (self._value, self._value.replace("/", "\\/"), quote(self._value, safe="")):
            text = text.replace(spelling, MASK)
        return text
