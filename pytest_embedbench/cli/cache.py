"""``embedbench cache``: show what the embedding cache holds, and remove vectors from it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_embedbench.cli.numbers import Decimal
from pytest_embedbench.core import bounds
from pytest_embedbench.errors import EmbedbenchError

if TYPE_CHECKING:
    from pytest_embedbench.encode.cache_file import VectorFile

SECONDS_PER_DAY = 86_400


@click.group("cache", invoke_without_command=True)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the cache (default: $EMBEDBENCH_CACHE, else pytest-embedbench in your cache folder).",
)
@click.pass_context
def cache(context: click.Context, folder: Path | None) -> None:
    """Show the embedding cache: its file, its size, its vectors."""
    from pytest_embedbench.encode.cache import default_folder

    context.obj = folder or default_folder()
    if context.invoked_subcommand is None:
        with _open_cache(context.obj) as file:
            _show(file)


@cache.command("prune")
@click.option(
    "--older-than", type=Decimal(0, bounds.MAX_DAYS), metavar="DAYS", help="Remove vectors unused for this many days."
)
@click.option(
    "--max-size", metavar="SIZE", help="Remove vectors, those unused for longest first, down to this size, e.g. 2GB."
)
@click.option("--model", metavar="NAME", help="Remove the vectors of one model, by its name in the list.")
@click.option("--all", "everything", is_flag=True, help="Remove all vectors.")
@click.pass_obj
def prune(folder: Path, *, older_than: float | None, max_size: str | None, model: str | None, everything: bool) -> None:
    """Remove vectors from the embedding cache.

    Damaged cache files that were moved aside are removed too.
    """
    from pytest_embedbench.core.parsing import parse_at
    from pytest_embedbench.core.thresholds import parse_size
    from pytest_embedbench.errors import closest

    if everything and (older_than is not None or max_size or model):
        raise click.UsageError("--all goes with no other choice")
    if not everything and older_than is None and not max_size and not model:
        raise click.UsageError("say what to remove: --older-than, --max-size, --model or --all")
    max_bytes = parse_at("--max-size", parse_size, max_size) if max_size else None
    with _open_cache(folder) as file:
        models = {space.model for space in file.contents()}
        if model and model not in models:
            raise EmbedbenchError(f"no vectors of {model!r}; {closest(model, models)}")
        before = file.size()
        if everything or older_than is not None or model:
            since = None if older_than is None else time.time() - older_than * SECONDS_PER_DAY
            file.remove(unused_since=since, model=model)
        # Last, since the removals above may already have made the file small enough.
        if max_bytes is not None:
            file.shrink(max_bytes)
        freed = before - file.size() + file.remove_broken()
        click.echo(f"{file.path}: {_megabytes(freed)} removed, {_megabytes(file.size())} left")


def _show(file: VectorFile) -> None:
    from tabulate import tabulate

    from pytest_embedbench.encode.cache import SpaceKey

    click.echo(f"{file.path}: {_megabytes(file.size())}")
    rows = []
    for space in file.contents():
        key = SpaceKey.read(space.facts)
        used = datetime.fromtimestamp(space.used, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        numbers = f"{key.dtype} {key.device}".strip()
        rows.append([space.model, key.role, numbers, f"{space.texts:,}", _megabytes(space.size), used])
    if rows:
        click.echo(tabulate(rows, headers=["model", "role", "numbers", "texts", "vectors", "last used"]))


@contextmanager
def _open_cache(folder: Path) -> Iterator[VectorFile]:
    """Open the file of a cache folder.

    Raises:
        EmbedbenchError: there is no cache in the folder, or its file cannot be read or written.
    """
    from pytest_embedbench.encode.cache_file import VectorFile

    file = VectorFile(folder)
    # Opening would create an empty cache.
    if not file.path.exists():
        raise EmbedbenchError(f"{folder} holds no embedding cache")
    try:
        yield file
    except (sqlite3.Error, OSError) as error:
        fix = "delete the file; it holds copies only"
        raise EmbedbenchError(str(error), where=str(file.path), fix=fix) from None
    finally:
        file.close()


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
