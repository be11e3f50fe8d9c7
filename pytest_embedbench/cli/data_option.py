"""Datasets that a command's arguments name, e.g. ``--data FOLDER_OR_NAME``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_embedbench.datasets.spec import NamedDataset


def find_datasets(names: Sequence[str]) -> list[NamedDataset]:
    """Return datasets by name, as ``--embed-dataset`` understands names; paths start at the working folder.

    Raises:
        ConfigurationError: a name stands for no dataset whose files are here.
    """
    from pytest_embedbench.errors import ConfigurationError
    from pytest_embedbench.suite.model_names import Names, Overrides

    resolver = Names.without_suite(Overrides(datasets=tuple(names)))
    try:
        return resolver.datasets()
    except ConfigurationError as error:
        # The error may name an option of pytest and tables of a suite, which these commands do not have.
        fix = "give its BEIR folder: --data PATH" if "[datasets." in error.fix else error.fix
        raise ConfigurationError("--data", error.problem, fix.replace("--embed-dataset", "--data")) from None
