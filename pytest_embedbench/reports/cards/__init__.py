"""Model cards, each made of facts and a template.

``parse`` reads the facts from a page and ``render`` prints them: ``render(parse(page)) == page``, byte for byte.
"""

from pytest_embedbench.reports.cards.facts import (
    Benchmarks,
    Block,
    Card,
    Count,
    Counts,
    Facets,
    Field,
    Figure,
    HighestRate,
    Link,
    NamedFigure,
    Overview,
    Part,
    Performance,
    Plot,
    Quality,
    Rates,
    Reference,
    Section,
    TextBlock,
)
from pytest_embedbench.reports.cards.format import metric_label, metric_name
from pytest_embedbench.reports.cards.parsing import parse
from pytest_embedbench.reports.cards.rendering import render
from pytest_embedbench.reports.errors import CardError

__all__ = [
    "Benchmarks",
    "Block",
    "Card",
    "CardError",
    "Count",
    "Counts",
    "Facets",
    "Field",
    "Figure",
    "HighestRate",
    "Link",
    "NamedFigure",
    "Overview",
    "Part",
    "Performance",
    "Plot",
    "Quality",
    "Rates",
    "Reference",
    "Section",
    "TextBlock",
    "metric_label",
    "metric_name",
    "parse",
    "render",
]
