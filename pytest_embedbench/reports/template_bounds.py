"""Run a user's template within bounds: a loop that never ends, or gigabytes of text, are a fault of the template.

Jinja's sandbox keeps a template from files and code, but lets it run for ever. The lines of a template that run are
counted, and so are the characters that come out.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEnvironment

if TYPE_CHECKING:
    from types import FrameType

    from jinja2 import Template

MAX_LINES = 3_000_000
"""Lines of compiled templates that may run for a page: seconds; a card takes thousands."""
MAX_PAGE = 50_000_000
"""Characters of a page, and of any text that a template multiplies."""
MAX_POWER = 64
"""Largest exponent."""


class TemplateBoundError(Exception):
    """A template runs too long, or makes too much text."""


class _Bounded(SandboxedEnvironment):
    """A sandbox in which products and powers are of limited size."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and isinstance(right, int | float) and not abs(right) <= MAX_POWER:
            raise TemplateBoundError(f"a power above {MAX_POWER}")
        for many, times in ((left, right), (right, left)):
            if hasattr(many, "__len__") and isinstance(times, int) and len(many) * times > MAX_PAGE:
                raise TemplateBoundError(f"a text of more than {MAX_PAGE:,} characters")
        return super().call_binop(context, operator, left, right)


class BoundedEnvironment(_Bounded):
    """Jinja's sandbox, bounded."""


class ImmutableBoundedEnvironment(_Bounded, ImmutableSandboxedEnvironment):
    """Jinja's sandbox in which lists and tables cannot be changed, bounded."""


def run_within_bounds(template: Template, sources: Collection[str], **names: Any) -> str:
    """Return what the template makes of ``names``.

    Args:
        template: the template.
        sources: file names of the user's templates, as compiled; lines of others are not counted.
        **names: what the template sees.

    Raises:
        TemplateBoundError: more than ``MAX_LINES`` run, or more than ``MAX_PAGE`` characters come out.
    """
    lines = 0

    def count(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if frame.f_code.co_filename not in sources:
            return None
        lines += event == "line"
        if lines > MAX_LINES:
            raise TemplateBoundError("runs too long; does a loop in it have an end?")
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        parts, length = list[str](), 0
        for piece in template.generate(**names):
            length += len(piece)
            if length > MAX_PAGE:
                raise TemplateBoundError(f"makes a page of more than {MAX_PAGE:,} characters")
            parts.append(piece)
        return "".join(parts)
    finally:
        sys.settrace(before)
