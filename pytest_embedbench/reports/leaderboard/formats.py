"""Format numbers as pages print them; an absent number is a dash labelled "not available", never a zero."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from pytest_embedbench.rating.ratings import Rating, rank_text

_ABSENT = {
    "html": '<span class="absent" role="img" aria-label="not available" title="not available">\N{EN DASH}</span>',
    "md": "\N{EN DASH}",
}
_WHOLE_FROM = 100
"""Milliseconds; longer times are printed without decimals."""


def filters(kind: str) -> dict[str, Callable[..., Any]]:
    """Return the filters of templates for ``html`` or ``md``; their output needs no escaping."""
    from markupsafe import Markup

    absent = Markup(_ABSENT[kind])  # noqa: S704 - ours

    def number(form: Callable[[float], str]) -> Callable[[float | None], Markup]:
        def formatted(value: float | None) -> Markup:
            finite = sort_key(value)
            return absent if finite is None else Markup(form(finite))  # noqa: S704 - digits

        return formatted

    return {
        "score": number(lambda value: f"{value:.3f}"),
        "elo": number(lambda value: f"{value:.0f}"),
        "percent": number(lambda value: f"{100 * value:.1f}%"),
        "ms": number(_milliseconds),
        # Markdown on GitHub takes a pair of dollar signs for a formula.
        "price": number(lambda value: f"${value:.3f}" if kind == "html" else f"\\${value:.3f}"),
        "count": number(lambda value: f"{value:,.0f}"),
        "known": lambda text: text or absent,  # the text itself is escaped when it is printed
        "ranks": lambda rating: Markup(_ranks(rating)) if rating else absent,  # noqa: S704 - digits
        "win_rate": win_rate,
        "sort_key": sort_key,
        "href": lambda page: Markup(quote(page, safe="@+")),  # noqa: S704 - quoted
        "plural": lambda count, word: f"{count:,} {word}{'' if count == 1 else 's'}",
        "lists": ", ".join,
    }


def win_rate(record: Any) -> float | None:
    """Return the share of judgments won, of a ``Record`` or a ``Rating``; None if there are no judgments."""
    total = record.wins + record.losses + record.ties if record else 0
    return record.wins / total if total else None


def sort_key(value: float | None) -> float | None:
    """Return the number that a column is sorted by; None if it is absent or not finite."""
    return value if value is not None and math.isfinite(value) else None


def _ranks(rating: Rating) -> str:
    return rank_text(rating).replace("-", "\N{EN DASH}")


def _milliseconds(value: float) -> str:
    return f"{value:,.0f} ms" if value >= _WHOLE_FROM else f"{value:.1f} ms"
