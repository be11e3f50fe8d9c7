"""Which suites a session reads, and what the command line and markers change in them."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_embedbench.errors import ConfigurationError

MARKER_KEYS = ("models", "datasets", "kind")


def marker_arguments(where: str, marker: pytest.Mark) -> dict[str, Any]:
    """The keywords of an ``embedbench`` marker in Python.

    Raises:
        ConfigurationError: one is unknown or no list.
    """
    from pytest_embedbench.errors import closest

    if marker.args:
        raise ConfigurationError(where, "the marker takes keywords only", "write models=[...], datasets=[...]")
    for key, value in marker.kwargs.items():
        if key not in MARKER_KEYS:
            raise ConfigurationError(where, f"unknown argument {key!r} of the marker", closest(key, MARKER_KEYS))
        if key != "kind" and not isinstance(value, (list, tuple)):
            raise ConfigurationError(f"{where}: {key}", f"{value!r} is not a list", f"write {key}=[{value!r}]")
    return dict(marker.kwargs)
