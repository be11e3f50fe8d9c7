"""Hooks that other plugins and a project's ``conftest.py`` can implement to add models and datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.hookspec
def pytest_embedbench_models(config: pytest.Config) -> Mapping[str, Mapping[str, Any]]:  # type: ignore[empty-body]
    """Return models that are added to the catalogue, by alias.

    Each is a mapping with the keys of a suite's ``[models.NAME]`` table, e.g. ``{"mine": {"path": "models/mine"}}``.
    Relative paths start at pytest's root folder.
    """


@pytest.hookspec
def pytest_embedbench_datasets(config: pytest.Config) -> Mapping[str, Mapping[str, Any]]:  # type: ignore[empty-body]
    """Return datasets that are added to the catalogue, by name.

    Each is a mapping with the keys of a suite's ``[datasets.NAME]`` table, e.g. ``{"faq": {"path": "data/faq"}}``.
    Relative paths start at pytest's root folder.
    """
