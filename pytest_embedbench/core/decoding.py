"""Decode JSON, TOML and YAML that others wrote: whatever is wrong with it, the error is one and the same.

The parsers themselves raise errors of many classes: a RecursionError for nesting that is too deep, a ValueError for
an impossible date in YAML, a UnicodeDecodeError for bytes that are not UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from pytest_embedbench.core.parsing import shortened

T = TypeVar("T")

DECODE_ERRORS = (msgspec.DecodeError, UnicodeError, RecursionError)
"""Errors of a msgspec decoder for JSON; for loops that use one decoder for many lines."""

MAX_MESSAGE = 300
"""Characters of a parser's own message that are kept."""
MAX_YAML_NODES = 100_000
"""Most values in a YAML document, counted with every repetition of an alias: few lines of aliases make billions."""


class DecodingError(ValueError):
    """Content that cannot be decoded, or does not have the expected form; the message says why, in one line."""


def decode_json(content: bytes | str, kind: type[T]) -> T:
    """Return what JSON content says, as ``kind``.

    Raises:
        DecodingError: the content is not JSON, has another form, or is nested too deeply.
    """
    return _decoded(lambda: msgspec.json.decode(content, type=kind))


def decode_loose_json(content: bytes | str) -> Any:
    """Return what JSON content says, which may hold NaN and infinities, as MTEB's files do.

    Raises:
        DecodingError: the content is not JSON, or is nested too deeply.
    """
    import json

    return _decoded(lambda: json.loads(content))


def decode_toml(content: bytes | str, kind: type[T]) -> T:
    """Return what TOML content says, as ``kind``.

    Raises:
        DecodingError: the content is not TOML, has another form, or is nested too deeply.
    """
    return _decoded(lambda: msgspec.toml.decode(content, type=kind))


def decode_yaml(content: str, kind: type[T]) -> T:
    """Return what a YAML document says, as ``kind``.

    Raises:
        DecodingError: the content is not YAML, has another form, is nested too deeply or has too many values.
    """

    def decode() -> T:
        import yaml  # type: ignore[import-untyped]

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        _refuse_too_many(yaml.compose(content, Loader=loader))
        return msgspec.yaml.decode(content, type=kind)

    return _decoded(decode)


def _decoded(decode: Callable[[], T]) -> T:
    try:
        return decode()
    except RecursionError:
        raise DecodingError("nested too deeply") from None
    except Exception as error:  # noqa: BLE001 - the parsers' own errors have no base class in common
        message = " ".join(str(error).split()) or type(error).__name__
        raise DecodingError(shortened(message, MAX_MESSAGE)) from None


def _refuse_too_many(root: Any) -> None:
    """Refuse a YAML document with more than ``MAX_YAML_NODES`` values, or with a value that holds itself.

    Aliases count as what they stand for. The parser keeps them as references, but whoever walks through its result
    meets every repetition.
    """
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: Any) -> int:
        if id(node) in open_nodes:
            raise DecodingError("a value holds itself")
        if id(node) not in sizes:
            open_nodes.add(id(node))
            entries = node.value if isinstance(node.value, list) else []
            # A mapping's entries are pairs of nodes.
            parts = (part for entry in entries for part in (entry if isinstance(entry, tuple) else (entry,)))
            sizes[id(node)] = 1 + sum(map(size, parts))
            open_nodes.remove(id(node))
        return sizes[id(node)]

    if root is not None and size(root) > MAX_YAML_NODES:
        raise DecodingError(f"more than {MAX_YAML_NODES:,} values, with aliases replaced")
