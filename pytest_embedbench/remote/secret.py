"""Secrets that do not print themselves and can be removed from texts, in whatever form a server returns them."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from html.entities import html5

MIN_SECRET_LENGTH = 8
"""Characters; shorter keys (``EMPTY``, ``ollama``) are placeholders for servers without keys, not secrets."""

MASK = "[API key]"
"""Text that replaces the secret."""

# No escape has a backslash, "%" or "&" behind its first characters, so escapes never overlap: the order in which they
# are replaced makes no difference, however deeply they are nested. Bare "&amp" without its semicolon is left out, since
# it would break this.
_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(
    rf"(?:\\+u|%[uU])(?P<unit>{_HEX}{{4}})|\\+u\{{0*(?P<braced>{_HEX}{{1,6}})\}}|\\+U(?P<long>{_HEX}{{8}})"
    rf"|\\+x(?P<byte>{_HEX}{{2}})|%(?P<percent>{_HEX}{{2}})|&\#[xX]0*(?P<hex>{_HEX}{{1,6}});"
    r"|&\#0*(?P<decimal>[0-9]{1,7});|&(?P<name>[a-zA-Z][a-zA-Z0-9]{1,31};)"
)
# Differences that servers make: host names become lower case, "+" in a query means a space, base64 has "-" and "_" in
# place of "+" and "/" in addresses and is broken into lines, and texts in UTF-16 have zeros. The backslashes that are
# left once escapes are replaced stand before other characters, as in "\/".
_FOLDED = {
    **{letter: letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
    "+": " ",
    "-": " ",
    "_": "/",
    "\\": "",
    "\r": "",
    "\n": "",
    "\0": "",
}
_FOLD = str.maketrans(_FOLDED)
_Span = tuple[int, int]


class Secret:
    """API keys and other secrets; "" stands for none. ``repr`` hides them, also in tracebacks with local variables.

    Placeholders, which are shorter than ``MIN_SECRET_LENGTH``, are no secrets: removing them would garble ordinary
    words.
    """

    __slots__ = ("_forms", "_values")

    def __init__(self, *values: str) -> None:
        # The longest first, since one may be part of another.
        longest_first = sorted(set(values), key=len, reverse=True)
        self._values = [value for value in longest_first if len(value) >= MIN_SECRET_LENGTH]
        # Each with the number of characters of base64 before and behind it that also hold bits of the key.
        forms = [form for value in self._values for form in [(_plain(value), 0, 0), *_base64_forms(value)]]
        self._forms = [form for form in forms if form[0]]

    def __bool__(self) -> bool:
        return bool(self._values)

    def __repr__(self) -> str:
        return f"Secret({MASK!r})" if self else "Secret('')"

    def redacted(self, text: str) -> str:
        """Return the text without the secrets, in whatever form they stand there.

        Forms are the escapes of JSON, JavaScript, HTML and addresses, also mixed and nested, and base64 of any text
        with the key in it, such as ``Bearer KEY`` or ``user:KEY``. Only what stands for the key is replaced.
        """
        if not self._values:
            return text
        # As they stand first: a "%" before a key, say, could form an escape with the key's first characters.
        for value in self._values:
            text = text.replace(value, MASK)
        plain = _plain(text)
        if not any(form in plain for form, _, _ in self._forms):  # so that large answers cost little
            return text
        end, parts = 0, []
        for start, stop in self._spans(*_traced(text)):
            if start >= end:
                parts += [text[end:start], MASK]
            end = max(end, stop)
        return "".join([*parts, text[end:]])

    def _spans(self, plain: str, spans: list[_Span]) -> list[_Span]:
        """Return where the original text has a secret, in order; spans may overlap."""
        results = []
        for form, before, behind in self._forms:
            at = plain.find(form)
            while at >= 0:
                first, last = at, at + len(form) - 1
                if before and first and plain[first - 1].isalnum():
                    first -= 1
                if behind and last + 1 < len(plain) and plain[last + 1].isalnum():
                    last += 1
                results.append((spans[first][0], spans[last][1]))
                at = plain.find(form, at + 1)
        return sorted(results)


def _base64_forms(value: str) -> Iterator[tuple[str, int, int]]:
    """Yield what base64 has for the value, whatever stands around it: one form for each start within three bytes."""
    content = value.encode(errors="surrogatepass")
    for shift in range(3):
        first = -(-shift * 8 // 6)  # four characters hold three bytes: six bits each
        last, rest = divmod((shift + len(content)) * 8, 6)
        yield _plain(b64encode(bytes(shift) + content).decode()[first:last]), int(shift > 0), int(rest > 0)


def _plain(text: str) -> str:
    """Return the text with every escape replaced and differences folded, so that all forms of a text become one."""
    while True:
        before = text
        while (decoded := _ESCAPE.sub(_character, text)) != text:
            text = decoded
        text = text.translate(_FOLD)
        if text == before:
            return text


def _traced(text: str) -> tuple[str, list[_Span]]:
    """Return ``_plain`` of a text, and for each of its characters where the text has what became it."""
    spans = [(position, position + 1) for position in range(len(text))]
    while True:
        before = text
        while (decoded := _ESCAPE.sub(_character, text)) != text:
            traced, end = [], 0
            for match in _ESCAPE.finditer(text):
                traced += spans[end : match.start()]
                end, character = match.end(), _character(match)
                inside = spans[match.start() : end]
                traced += inside if character == match[0] else [(inside[0][0], inside[-1][1])] * len(character)
            text, spans = decoded, traced + spans[end:]
        text, spans = _fold_traced(text, spans)
        if text == before:
            return text, spans


def _fold_traced(text: str, spans: list[_Span]) -> tuple[str, list[_Span]]:
    """Fold the text. Backslashes go to the character that they escape, lest one is left before the mask."""
    characters, traced, escaped = [], [], None
    for character, (start, end) in zip(text, spans, strict=True):
        if character == "\\":
            escaped = start if escaped is None else escaped
            continue
        if folded := _FOLDED.get(character, character):
            characters.append(folded)
            traced.append((start if escaped is None else escaped, end))
        escaped = None
    return "".join(characters), traced


def _character(match: re.Match[str]) -> str:
    """Return what an escape stands for; an escape that stands for nothing is returned as it is."""
    if name := match["name"]:
        return html5.get(name, match[0])
    decimal = match["decimal"]
    code = int(decimal) if decimal else int(match[match.lastgroup or 0], 16)
    return chr(code) if code <= 0x10FFFF else match[0]  # noqa: PLR2004 - the last code point of Unicode
