"""``embedbench show``: all that the catalogue knows of one model or dataset."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
import msgspec

from pytest_embedbench import catalog
from pytest_embedbench.errors import ConfigurationError, closest

if TYPE_CHECKING:
    from collections.abc import Iterator

INDENT = 2
ALWAYS = ("kind",)
"""Shown though it be the default."""


@click.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Show all that the catalogue knows of NAME: a model's or dataset's alias or full name.

    What an entry leaves out is not shown. Prompts are in quotes, so that spaces and line breaks can be seen.
    """
    models, datasets = catalog.models(), catalog.datasets()
    found = [("model", catalog.find(models, name)), ("dataset", catalog.find(datasets, name))]
    texts = ["\n".join([f"{known[0]} ({what})", *_lines(known[1])]) for what, known in found if known]
    if not texts:
        hint = closest(name, [*_names(models), *_names(datasets)])
        fix = "`embedbench list models` and `embedbench list datasets` have all names"
        raise ConfigurationError("embedbench show", f"the catalogue has no {name!r}; {hint}", fix)
    click.echo("\n\n".join(texts))


def _names(entries: Mapping[str, msgspec.Struct]) -> Iterator[str]:
    for alias, spec in entries.items():
        yield from (alias, *filter(None, (getattr(spec, "name", ""), *getattr(spec, "aliases", ()))))


def _lines(spec: msgspec.Struct) -> Iterator[str]:
    """One line a field that is not at its default, wrapped to the terminal; new fields come by themselves."""
    fields = msgspec.structs.fields(spec)
    shown = {
        field.name: value
        for field in fields
        if (value := getattr(spec, field.name)) != _default(field) or field.name in ALWAYS
    }
    margin = INDENT + max(map(len, shown), default=0) + 2
    width = shutil.get_terminal_size().columns
    for name, value in shown.items():
        label = f"{'':{INDENT}}{name:{margin - INDENT}}"
        if name.endswith("_prompt"):  # wrapping would drop blanks
            yield f"{label}{value!r}"
        else:
            yield textwrap.fill(
                f"{label}{_text(value)}",
                width=max(width, margin + INDENT),
                subsequent_indent=" " * margin,
                break_on_hyphens=False,
                break_long_words=False,
            )


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_text(item)}" for key, item in value.items())
    if isinstance(value, (tuple, list)):
        return ", ".join(map(_text, value))
    return str(value)
