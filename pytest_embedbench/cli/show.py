"""``embedbench show``: show the catalogue's facts about one model or dataset."""

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

PADDING = 2
"""Spaces before each line and between its columns."""

ALWAYS_SHOWN = ("kind",)
"""Fields that are shown even when they equal the default."""


@click.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Show the catalogue's facts about a model or dataset.

    NAME is its alias or full name. Facts that the catalogue does not have are left out. Prompts are in quotes, to make
    spaces and line breaks visible.
    """
    models, datasets = catalog.models(), catalog.datasets()
    matches = [("model", catalog.find(models, name)), ("dataset", catalog.find(datasets, name))]
    texts = ["\n".join([f"{match[0]} ({kind})", *_lines(match[1])]) for kind, match in matches if match]
    if not texts:
        hint = closest(name, [*_names(models), *_names(datasets)])
        fix = "`embedbench list models` and `embedbench list datasets` have all names"
        raise ConfigurationError("embedbench show", f"the catalogue has no {name!r}; {hint}", fix)
    click.echo("\n\n".join(texts))


def _names(entries: Mapping[str, msgspec.Struct]) -> Iterator[str]:
    for alias, spec in entries.items():
        yield from (alias, *filter(None, (getattr(spec, "name", ""), *getattr(spec, "aliases", ()))))


def _lines(spec: msgspec.Struct) -> Iterator[str]:
    """Yield a line for each field that is not at its default, wrapped to the terminal's width."""
    fields = msgspec.structs.fields(spec)
    shown = {
        field.name: value
        for field in fields
        if (value := getattr(spec, field.name)) != _default(field) or field.name in ALWAYS_SHOWN
    }
    indent = PADDING + max(map(len, shown), default=0) + PADDING
    width = shutil.get_terminal_size().columns
    for name, value in shown.items():
        label = f"{'':{PADDING}}{name:{indent - PADDING}}"
        if name.endswith("_prompt"):  # not wrapped, since wrapping drops spaces, which are part of a prompt
            yield f"{label}{value!r}"
        else:
            yield textwrap.fill(
                f"{label}{_text(value)}",
                width=max(width, indent + PADDING),
                subsequent_indent=" " * indent,
                break_on_hyphens=False,
                break_long_words=False,
            )


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _text(value: object) -> str:
    # Before int, since a bool is one.
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_text(item)}" for key, item in value.items())
    if isinstance(value, (tuple, list)):
        return ", ".join(map(_text, value))
    return str(value)
