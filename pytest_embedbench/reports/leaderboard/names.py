"""Name page files: as in the results folder, short enough for any file system, and all different."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_embedbench.core.files import file_name

_MAX_BYTES = 100
"""Bytes of one model's name; a comparison has two names in its file name, and file systems allow 255 bytes."""


def model_pages(names: Iterable[str]) -> dict[str, str]:
    """Return the file name, without ending, of each model's page."""
    names = list(names)
    # In the order of names rather than of ranks, so that a model keeps its page when another one passes it.
    ordered = sorted(names)
    pages = dict(zip(ordered, _distinct(file_name(name) for name in ordered), strict=True))
    return {name: pages[name] for name in names}


def pair_pages(pairs: Iterable[tuple[str, str]]) -> Sequence[str]:
    """Return the file names, without ending, of pages that compare two models, given those of the models' pages."""
    return _distinct((f"{a}--{b}" for a, b in pairs), 2 * _MAX_BYTES + 2)


def _distinct(names: Iterable[str], limit: int = _MAX_BYTES) -> list[str]:
    """Return the names, cut to ``limit`` bytes; a name that was taken before, in whatever case, gets a number."""
    taken: set[str] = set()
    distinct = []
    for full in names:
        # Cut as bytes, as file systems count; a character that is cut in two is dropped.
        name = stem = full.encode()[:limit].decode(errors="ignore")
        number = 1
        while name.casefold() in taken:  # some file systems ignore case
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        distinct.append(name)
    return distinct
