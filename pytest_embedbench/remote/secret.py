"""A secret that does not print itself and can be removed from texts."""

from __future__ import annotations

from urllib.parse import quote

MIN_SECRET_LENGTH = 8
"""Characters; shorter keys (``EMPTY``, ``ollama``) are placeholders for servers without keys, not secrets."""

MASK = "[API key]"
"""Text that replaces the secret."""


class Secret:
    """An API key, or "" for none. ``repr`` hides it, so that tracebacks with local variables hide it too."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Secret({MASK!r})" if self else "Secret('')"

    def headers(self) -> dict[str, str]:
        """Return the HTTP header that carries the key; no header for an empty key."""
        return {"Authorization": f"Bearer {self._value}"} if self else {}

    def redacted(self, text: str) -> str:
        """Return the text without the secret, including the spellings with JSON or URL escapes.

        Placeholders, which are shorter than ``MIN_SECRET_LENGTH``, stay: removing them would garble ordinary words.
        """
        if len(self._value) < MIN_SECRET_LENGTH:
            return text
        for spelling in (self._value, self._value.replace("/", "\\/"), quote(self._value, safe="")):
            text = text.replace(spelling, MASK)
        return text
