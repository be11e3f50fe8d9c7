"""Render pages from facts with the packaged templates, or with files of the same names in a user's folder.

A user's templates run in Jinja's sandbox. Whatever a template prints is escaped for HTML or for Markdown without the
template's help, so that a name or a text from outside cannot become markup. ``style.css`` and ``script.js`` are put
into each page as they are, and the page's Content-Security-Policy allows these two and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_embedbench.errors import ConfigurationError, closest
from pytest_embedbench.reports.leaderboard.formats import filters
from pytest_embedbench.reports.templates import template_error, templates_folder
from pytest_embedbench.reports.text import collapse, literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import BaseLoader, Environment

FOLDER = "leaderboard"
"""Folder of the pages' templates."""
KINDS = ("html", "md")
"""Endings of the pages."""
PACKAGED_PREFIX = "packaged"
"""Prefix of the packaged templates' names in a user's template: ``{% extends "packaged/model.html.j2" %}``."""
_MAX_CACHED = 100_000
"""Escaped texts that are remembered; a bound on memory for boards with many queries."""


class Pages:
    """Render pages by the name of their template."""

    def __init__(self, folder: Path | None = None) -> None:
        """Look for templates in ``folder`` first.

        Raises:
            ConfigurationError: ``folder`` is not a folder, or none of its files has the name of a template.
        """
        self._own = _templates_in(folder) if folder else []
        loader = _loader(folder)
        self._names = frozenset(loader.list_templates())
        # One environment for each kind, since escaping and filters differ between HTML and Markdown.
        self._environments = {kind: _environment(loader, kind, sandbox=bool(folder)) for kind in KINDS}
        self._parts = self._page_parts()

    def render(self, name: str, **facts: Any) -> str:
        """Return the page that the template ``name`` (without ``.j2``, e.g. ``index.html``) makes of the facts.

        Raises:
            CardError: a template of the user's folder does not work; ``where`` has the template and the line.
        """
        environment = self._environments[name.rpartition(".")[2]]
        template = f"{name}.j2"
        try:
            if not self._own:
                return environment.get_template(template).render(**self._parts, **facts)
            from pytest_embedbench.reports.template_bounds import run_within_bounds

            return run_within_bounds(environment.get_template(template), self._own, **self._parts, **facts)
        except Exception as error:  # whatever a user's template raises is a fault of that template
            if not self._own:
                raise
            raise template_error(error, *self._own) from error

    def kinds(self, name: str) -> tuple[str, ...]:
        """Return the kinds of pages, of ``KINDS``, for which there is a template of this name."""
        return tuple(kind for kind in KINDS if f"{name}.{kind}.j2" in self._names)

    def _page_parts(self) -> dict[str, str]:
        """Return style, script and the policy that allows them: hashes of the text between the tags, byte for byte."""
        from markupsafe import Markup

        environment = self._environments["html"]
        assert environment.loader is not None  # noqa: S101 - for the type checker
        style, script = (
            # Jinja prints LF alone, and the hash must be that of the printed text.
            environment.loader.get_source(environment, name)[0].replace("\r\n", "\n")
            for name in ("style.css", "script.js")
        )
        policy = (
            f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:;"
            " base-uri 'none'; form-action 'none'"
        )
        return {"style": Markup(style), "script": Markup(script), "policy": policy}  # noqa: S704 - ours, or the user's


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _templates_in(folder: Path) -> list[str]:
    """Return the paths of the folder's files as Jinja gives them in tracebacks, those of known templates first."""
    if not folder.is_dir():
        raise ConfigurationError(str(folder), "is not a folder of templates", "name a folder, or leave it out")
    known = {entry.name for entry in (templates_folder() / FOLDER).iterdir()}
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in paths]
    if not known & set(names):
        problem = "has no file with the name of a template"
        raise ConfigurationError(str(folder), problem, closest(next(iter(names), ""), known))
    # Known ones first: an error that cannot be traced is blamed on the first.
    ordered = sorted(paths, key=lambda path: path.relative_to(folder).as_posix() not in known)
    return [os.path.normpath(path) for path in ordered]


def _loader(folder: Path | None) -> BaseLoader:
    from jinja2 import ChoiceLoader, FileSystemLoader, PrefixLoader

    packaged = FileSystemLoader(templates_folder() / FOLDER)
    own = [FileSystemLoader(folder)] if folder else []
    # The user's file first; the prefix reaches a packaged template even if the user's file has replaced it.
    return ChoiceLoader([*own, packaged, PrefixLoader({PACKAGED_PREFIX: packaged})])


def _environment(loader: BaseLoader, kind: str, *, sandbox: bool) -> Environment:
    from jinja2 import Environment, StrictUndefined

    from pytest_embedbench.reports.template_bounds import ImmutableBoundedEnvironment

    # The packaged templates need no sandbox, and large boards are written twice as fast without one.
    environment = (ImmutableBoundedEnvironment if sandbox else Environment)(
        loader=loader,
        undefined=StrictUndefined,  # a misspelt name is an error, not an empty text
        autoescape=True,
        finalize=_escape(kind),
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters(kind))
    return environment


def _escape(kind: str) -> Callable[[Any], Any]:
    """Return the escaping of every printed value that is not marked as safe; Jinja's autoescaping then leaves it."""
    from markupsafe import Markup, escape

    # Cached, since one model's name is printed on hundreds of pages.
    @lru_cache(_MAX_CACHED)
    def escaped(text: str) -> Markup:
        return Markup(literal(text)) if kind == "md" else escape(collapse(text))  # noqa: S704 - this is the escaping

    def finalize(value: Any) -> Any:
        return escaped(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    return finalize
