"""Find the packaged page templates, and trace errors to the template that caused them."""

from __future__ import annotations

import traceback
from pathlib import Path

from pytest_embedbench.reports.errors import CardError

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of the package ``pytest_embedbench``."""


def templates_folder() -> Path:
    """Return the folder of the packaged templates.

    In a wheel it is inside the package; in a checkout it lies beside the package.
    """
    inside = PACKAGE / "templates"
    return inside if inside.is_dir() else PACKAGE.parent / "templates"


def template_error(error: Exception, *sources: str) -> CardError:
    """Return ``error`` as a fault of one of the templates ``sources`` (paths): the first if it cannot be traced."""
    from jinja2 import TemplateSyntaxError

    source: str = sources[0]
    # A syntax error knows its place. Any other error has it in the traceback, whose innermost template is to blame.
    line: int | None = None
    if isinstance(error, TemplateSyntaxError):
        source, line = error.filename or source, error.lineno
    elif frames := [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in sources]:
        source, line = frames[-1].filename, frames[-1].lineno
    return CardError(f"{type(error).__name__}: {error}", line=line, source=source)
