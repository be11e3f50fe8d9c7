"""A page from facts: the layout is the template's alone.

Templates run in Jinja's sandbox and see one name, `card`. Jinja is imported at the first rendering, because
a plugin's start must stay cheap.
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

PACKAGED = "model_card.md.j2"


def render(card: Card, template: str | os.PathLike[str] | None = None) -> str:
    """Return the page for `card`, laid out by the packaged template or by the one at the path `template`.

    A template may `{% include "model_card.md.j2" %}`, the packaged one, and no other file.

    Raises:
        CardError: if the template cannot be read, is wrong or leaves the sandbox (`.source` and `.line` say
            where); or, with the packaged template, if a text of the card would read back as something else
            (a newline in a title, say: see `cards.text`).
    """
    page = fill(card, template)
    if template is None:
        _check_reads_back(card, page)
    return page


def fill(card: Card, template: str | os.PathLike[str] | None = None) -> str:
    """Return what the template makes of `card`, unchecked; raises as `render` does for the template."""
    if template is None:
        return _packaged().render(card=card)
    source = str(template)
    try:
        code = Path(template).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"cannot be read: {error}"
        raise CardError(message, source=source) from error
    # Whatever a user's template raises is a fault of that template, and the sandbox leaves it any exception.
    try:
        return _compile(_environment(), code, source).render(card=card)
    except Exception as error:
        raise template_error(error, source) from error


def _check_reads_back(card: Card, page: str) -> None:
    """Hold a card to its page: texts that break out of their place must not make false statements."""
    hint = "make texts from outside safe with pytest_embedbench.reports.text"
    try:
        back = read(page)
    except CardError as error:
        message = f"the card does not print as a card: {error}; {hint}"
        raise CardError(message) from error
    for name in card.__struct_fields__:
        if getattr(back, name) != getattr(card, name):
            message = f"the card's {name} would read back as {getattr(back, name)!r}; {hint}"
            raise CardError(message)


@functools.cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import FunctionLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    return SandboxedEnvironment(
        loader=FunctionLoader(_packaged_source),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown, not HTML; texts are made safe where a card is built
        keep_trailing_newline=True,
    )


@functools.cache
def _packaged() -> Template:
    return _environment().get_template(PACKAGED)


def _packaged_source(name: str) -> tuple[str, str, None] | None:
    """Load the packaged template for Jinja, and nothing else: a template reads no files."""
    if name != PACKAGED:
        return None
    path = templates_folder() / PACKAGED
    return path.read_text(encoding="utf-8"), str(path), None


def _compile(environment: SandboxedEnvironment, code: str, source: str) -> Template:
    """Compile with the path as file name, so that tracebacks lead to the template's lines."""
    compiled = environment.compile(code, name=source, filename=source)
    return environment.template_class.from_code(environment, compiled, environment.make_globals(None))
