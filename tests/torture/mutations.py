"""Change the bytes of a good file as damage, other programs and attackers do; the same seed gives the same bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

NUMBERS = ("0", "-1", "1e10", "2147483647", "2147483648", "9223372036854775808", "1e308", "1e999", "-0.0", "1e-999")
WORDS = ("NaN", "Infinity", "null", "true", "[]", "{}", '""', "9" * 400, "9" * 5000, '"\\ud800"', '"\\u0000"')
CHARACTERS = (
    "\x00",
    "\ufeff",
    "\u2028",
    "\u202e",
    "\ud7ff",
    "é",
    "\U0001d518",
    "\t",
    "\r",
    "\n",
    "\x85",
    "\\",
    '"',
    "'",
    ",",
    ";",
    "|",
    "#",
)
DEPTH = 20_000
LONG = 300_000

Change = Callable[[bytes, random.Random], bytes]


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return the content after one to three changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = rng.choice(CHANGES)(content, rng)
    return content


def _span(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((1, 2, 8, 64, 512)))


def _flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 4, 32))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _drop(content: bytes, rng: random.Random) -> bytes:
    start, end = _span(content, rng)
    return content[:start] + content[end:]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    start, end = _span(content, rng)
    return content[:start] + content[start:end] * rng.choice((2, 10, 1000)) + content[end:]


def _insert(content: bytes, rng: random.Random) -> bytes:
    start, _ = _span(content, rng)
    piece = rng.choice((*NUMBERS, *WORDS, *CHARACTERS)).encode("utf-8", "surrogatepass")
    return content[:start] + piece + content[start:]


def _swap_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def _drop_or_repeat_line(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    index = rng.randrange(len(lines))
    return b"\n".join([*lines[:index], *([lines[index]] * rng.choice((0, 2, 3))), *lines[index + 1 :]])


def _other_encoding(content: bytes, rng: random.Random) -> bytes:
    text = content.decode("utf-8", "replace")
    return rng.choice((
        b"\xef\xbb\xbf" + content,
        text.encode("utf-16"),
        text.replace("\n", "\r\n").encode(),
        text.replace("\n", "\r").encode(),
        text.encode("latin-1", "replace"),
    ))  # fmt: skip


def _number(content: bytes, rng: random.Random) -> bytes:
    """Replace one number, wherever it stands."""
    import re

    found = list(re.finditer(rb"-?\d+(?:\.\d+)?", content))
    if not found:
        return content
    match = rng.choice(found)
    return content[: match.start()] + rng.choice((*NUMBERS, *WORDS)).encode() + content[match.end() :]


def _value(content: bytes, rng: random.Random) -> bytes:
    """Replace a value, or rename a key, of JSON or of one line of JSON lines."""
    lines = content.split(b"\n")
    whole = _json(content)
    if whole is not None:
        return json.dumps(_with_change(whole, rng)).encode("utf-8", "surrogatepass")
    for index in rng.sample(range(len(lines)), len(lines)):
        if (record := _json(lines[index])) is not None:
            lines[index] = json.dumps(_with_change(record, rng)).encode("utf-8", "surrogatepass")
            break
    return b"\n".join(lines)


def _json(content: bytes) -> Any:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _with_change(value: Any, rng: random.Random) -> Any:
    places = list(_places(value))
    if not places:
        return _odd_value(rng)
    holder, key = rng.choice(places)
    action = rng.randrange(4)
    if action == 0 and isinstance(holder, dict):
        holder[rng.choice((f"{key}x", "", "\ud800", "__proto__", "a" * 300))] = holder.pop(key)
    elif action == 1:
        del holder[key]
    else:
        holder[key] = _odd_value(rng)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(entries):
        yield value, key
        yield from _places(inner)


def _odd_value(rng: random.Random) -> Any:
    return rng.choice((
        None, True, False, 0, -1, 1.5, 1e308, 2**31, 2**63, 2**64, 10**400, float("nan"), float("inf"),
        "", " ", "\x00", "\ud800", "é\n", "../../etc/passwd", "a/b\\c:d", "x" * 5000, "1e999", "2024-13-45",
        [], {}, [[]], [None], {"a": None}, [1, "2", {}], "javascript:alert(1)", "[x](y)", "<b>", "{{ 7 * 7 }}",
    ))  # fmt: skip


def _deep(content: bytes, rng: random.Random) -> bytes:
    start, _ = _span(content, rng)
    opening, closing = rng.choice(
        ((b"[", b"]"), (b'{"a":', b"}"), (b"(", b")"), (b"{a: ", b"}"), (b"> ", b""), (b"- ", b""))
    )
    return content[:start] + opening * DEPTH + rng.choice((b"", closing * DEPTH)) + content[start:]


def _long(content: bytes, rng: random.Random) -> bytes:
    start, _ = _span(content, rng)
    return (
        content[:start] + rng.choice((b"a", b" ", b"9", b"\t", b"\xc3\xa9", b"[", b"`", b"*")) * LONG + content[start:]
    )


CHANGES: tuple[Change, ...] = (
    _flip, _cut, _drop, _repeat, _insert, _insert, _swap_lines, _drop_or_repeat_line, _other_encoding,
    _number, _number, _number, _value, _value, _value, _value, _deep, _long,
)  # fmt: skip
"""All changes; those that keep a file nearly good stand more often, since they reach farther into a reader."""
