"""Hooks through which other plugins and a project's ``conftest.py`` take part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.hookspec
def pytest_embedbench_models(config: pytest.Config) -> Mapping[str, Mapping[str, Any]]:  # type: ignore[empty-body]
    """Models by alias, with the keys of a suite's ``[models.X]`` table, added to the catalogue."""


@pytest.hookspec
def pytest_embedbench_datasets(config: pytest.Config) -> Mapping[str, Mapping[str, Any]]:  # type: ignore[empty-body]
    """Datasets by name, with the keys of a suite's ``[datasets.X]`` table, added to the catalogue."""
