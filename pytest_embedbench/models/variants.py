"""Variants of a model: vectors cut to fewer dimensions, or kept in fewer bits; ``minilm@dim=128@int8`` is one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from pytest_embedbench.core.bounds import MAX_DIMENSIONS
from pytest_embedbench.core.parsing import ParseError
from pytest_embedbench.errors import closest

Precision = Literal["float32", "int8", "binary"]

BITS: dict[Precision, int] = {"float32": 32, "int8": 8, "binary": 1}
"""Bits; one dimension of a stored vector at each precision."""

QUANTIZED_PRECISIONS: dict[str, Precision] = {"int8": "int8", "binary": "binary"}
"""Word in a model's name -> the precision it asks for."""

DIMENSIONS_PART = re.compile(r"dim=0*([1-9][0-9]{0,8})")

VARIANT_EXAMPLES = ("dim=128", "int8", "binary")
"""Examples of parts that may follow an @, for messages."""


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a model's vectors that is used: the first ``dimensions`` (None for all), at a precision."""

    dimensions: int | None = None
    precision: Precision = "float32"

    def __str__(self) -> str:
        """Return the suffix of a name, dimensions first: ``@dim=128@int8``; empty for the model as it is."""
        cut = f"@dim={self.dimensions}" if self.dimensions else ""
        return cut + (f"@{self.precision}" if self.precision != "float32" else "")

    def bytes_per_vector(self, dimensions: int) -> int:
        """Return the bytes of a stored vector with this many dimensions; bits are packed into whole bytes."""
        return -(-dimensions * BITS[self.precision] // 8)


FULL_VECTORS = Variant()
"""The variant that uses a model's vectors as they are."""


def parse_variant(parts: Sequence[str], own: Variant) -> Variant:
    """Parse the parts after a model's name, which @ signs separate; their order and case do not matter.

    Args:
        parts: the texts between and after the @ signs.
        own: the variant in the model's definition; a part may not contradict it.

    Raises:
        ParseError: a part is unknown, or contradicts another one.
    """
    dimensions, precision = own.dimensions, own.precision
    for part in parts:
        word = part.casefold()
        if quantized := QUANTIZED_PRECISIONS.get(word):
            if precision not in {"float32", quantized}:
                raise ParseError(f"two precisions ({precision} and {quantized})", "choose one of them")
            precision = quantized
        elif match := DIMENSIONS_PART.fullmatch(word):
            if int(match[1]) > MAX_DIMENSIONS:
                raise ParseError(f"{match[1]} dimensions", f"write at most {MAX_DIMENSIONS:,}")
            if dimensions not in {None, int(match[1])}:
                raise ParseError(f"two numbers of dimensions ({dimensions} and {match[1]})", "choose one of them")
            dimensions = int(match[1])
        elif word.startswith("dim"):
            raise ParseError(f"{part!r} gives no number of dimensions above 0", "write dim=128")
        elif not word:
            raise ParseError("nothing after an @", f"leave it out, or add one of {', '.join(VARIANT_EXAMPLES)}")
        else:
            raise ParseError(f"unknown variant {part!r}", closest(part, VARIANT_EXAMPLES))
    return Variant(dimensions=dimensions, precision=precision)
