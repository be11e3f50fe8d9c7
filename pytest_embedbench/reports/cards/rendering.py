"""Render a card as a page; the template alone decides the layout.

Templates run in Jinja's sandbox and see one name, ``card``. Jinja is imported at the first rendering, because the
plugin's start must stay cheap.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_embedbench.reports.cards.grammar import read
from pytest_embedbench.reports.errors import CardError
from pytest_embedbench.reports.templates import template_error, templates_folder

if TYPE_CHECKING:
    import os

    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

    from pytest_embedbench.reports.cards.facts import Card

CARD_TEMPLATE = "model_card.md.j2"
"""File name of the packaged template."""


def render(card: Card, template: str | os.PathLike[str] | None = None) -> str:
    """Return the page for ``card``, laid out by the packaged template or by the one at the path ``template``.

    A template may ``{% include "model_card.md.j2" %}``, the packaged one, and no other file.

    Raises:
        CardError: the template cannot be read, is wrong or leaves the sandbox (``.source`` and ``.line`` are set); or,
            with the packaged template, a text of the card would read back as something else, e.g. a title with a
            newline (see ``reports.text``).
    """
    page = fill(card, template)
    if template is None:
        _check_reads_back(card, page)
    return page


def fill(card: Card, template: str | os.PathLike[str] | None = None) -> str:
    """Return the page that the template makes of ``card``, without the check of ``render``.

    Raises:
        CardError: the template cannot be read, is wrong or leaves the sandbox.
    """
    if template is None:
        return _packaged().render(card=card)
    source = str(template)
    from pytest_embedbench.reports.template_bounds import run_within_bounds

    try:
        code = Path(template).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read: {error}"
        raise CardError(problem, source=source) from error
    # A template may raise any exception, in the sandbox too, and all of them are faults of that template.
    try:
        return run_within_bounds(_compile(_environment(), code, source), {source}, card=card)
    except Exception as error:
        raise template_error(error, source) from error


def _check_reads_back(card: Card, page: str) -> None:
    """Check that the page reads back as the same card: a text that breaks out of its place could state false facts."""
    fix = "make texts from outside safe with pytest_embedbench.reports.text"
    try:
        back = read(page)
    except CardError as error:
        problem = f"the card does not print as a card: {error}"
        raise CardError(problem, fix=fix) from error
    # Field by field rather than the cards as a whole, so that the error names the field.
    for name in card.__struct_fields__:
        if getattr(back, name) != getattr(card, name):
            problem = f"the card's {name} would read back as {getattr(back, name)!r}"
            raise CardError(problem, fix=fix)


@functools.cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import FunctionLoader, StrictUndefined

    from pytest_embedbench.reports.template_bounds import BoundedEnvironment

    return BoundedEnvironment(
        loader=FunctionLoader(_packaged_source),
        undefined=StrictUndefined,  # a misspelt name is an error, not an empty text
        autoescape=False,  # Markdown, not HTML; texts are made safe where a card is built
        keep_trailing_newline=True,
    )


@functools.cache
def _packaged() -> Template:
    return _environment().get_template(CARD_TEMPLATE)


def _packaged_source(name: str) -> tuple[str, str, None] | None:
    """Load the packaged template for Jinja; None for any other name, so that a template can read no other file."""
    if name != CARD_TEMPLATE:
        return None
    path = templates_folder() / CARD_TEMPLATE
    return path.read_text(encoding="utf-8"), str(path), None


def _compile(environment: SandboxedEnvironment, code: str, source: str) -> Template:
    """Compile a template with its path as file name, so that tracebacks lead to the template's lines."""
    compiled = environment.compile(code, name=source, filename=source)
    return environment.template_class.from_code(environment, compiled, environment.make_globals(None))
