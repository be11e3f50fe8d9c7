"""Variants of a model: vectors cut to fewer dimensions, or kept in fewer bits; ``minilm@dim=128@int8`` is one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from pytest_embedbench.core.parsing import ParseError
from pytest_embedbench.errors import closest

Precision = Literal["float32", "int8", "binary"]

BITS: dict[Precision, int] = {"float32": 32, "int8": 8, "binary": 1}
"""Bits that one dimension takes."""

QUANTIZED: dict[str, Precision] = {"int8": "int8", "binary": "binary"}
"""Precisions that a name can ask for."""

DIMENSIONS = re.compile(r"dim=0*([1-9][0-9]{0,8})")

PARTS = ("dim=128", "int8", "binary")
"""What may stand after an @, for messages."""


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a model's vectors: their first ``dimensions`` (None: all of them), at a precision."""

    dimensions: int | None = None
    precision: Precision = "float32"

    def __str__(self) -> str:
        """Give the suffix of a name, dimensions first: ``@dim=128@int8``; empty for the model as it is."""
        cut = f"@dim={self.dimensions}" if self.dimensions else ""
        return cut + (f"@{self.precision}" if self.precision != "float32" else "")

    def bytes_per_vector(self, dimensions: int) -> int:
        """Bytes that a stored vector of so many dimensions takes; bits are packed into whole bytes."""
        return -(-dimensions * BITS[self.precision] // 8)


WHOLE = Variant()
"""The model as it is."""


def parse_variant(parts: Sequence[str], own: Variant) -> Variant:
    """Read what stands after a model's name, between the @ signs, in any order and case.

    ``own`` is what the model's definition says already.

    Raises:
        ParseError: a part is unknown, or contradicts another one.
    """
    dimensions, precision = own.dimensions, own.precision
    for part in parts:
        word = part.casefold()
        if asked := QUANTIZED.get(word):
            if precision not in {"float32", asked}:
                raise ParseError(f"two precisions ({precision} and {asked})", "choose one of them")
            precision = asked
        elif match := DIMENSIONS.fullmatch(word):
            if dimensions not in {None, int(match[1])}:
                raise ParseError(f"two numbers of dimensions ({dimensions} and {match[1]})", "choose one of them")
            dimensions = int(match[1])
        elif word.startswith("dim"):
            raise ParseError(f"{part!r} gives no number of dimensions above 0", "write dim=128")
        elif not word:
            raise ParseError("nothing after an @", f"leave it out, or add one of {', '.join(PARTS)}")
        else:
            raise ParseError(f"unknown variant {part!r}", closest(part, PARTS))
    return Variant(dimensions=dimensions, precision=precision)
