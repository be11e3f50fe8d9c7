"""Names of page files: those of the results folder, short enough for any file system, and never two the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_embedbench.core.files import file_name

_BYTES = 100
"""Of one model's name; a page that compares two has both in its name, and file systems take 255 bytes."""


def model_pages(names: Iterable[str]) -> dict[str, str]:
    """The file name (no ending) of each model's page."""
    names = list(names)
    return dict(zip(names, _distinct(file_name(name) for name in names), strict=True))


def pair_pages(pairs: Iterable[tuple[str, str]]) -> Sequence[str]:
    """The file names (no ending) of the pages that compare two models, from those of the models' own pages."""
    return _distinct((f"{a}--{b}" for a, b in pairs), 2 * _BYTES + 2)


def _distinct(names: Iterable[str], limit: int = _BYTES) -> list[str]:
    """The names, cut to ``limit`` bytes; a name taken before, also in other case, gets a number."""
    taken: set[str] = set()
    distinct = []
    for full in names:
        name = stem = full.encode()[:limit].decode(errors="ignore")
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        distinct.append(name)
    return distinct
