"""The definition of a model that the command line names by its address, for messages that ask to change one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from pytest_embedbench.session.paths import display_path
from pytest_embedbench.session.properties import read_notes, read_record
from pytest_embedbench.suite.find import SUITE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pytest

    from pytest_embedbench.models.spec import NamedModel
    from pytest_embedbench.session.suites import Suites

ASKS_FOR_A_DEFINITION = re.compile(r"\b(?:the model's|its) definition\b")
"""Words of a fix that is a key of ``[models.X]``."""


def definition_lines(suites: Suites, reports: Iterable[pytest.TestReport]) -> Iterator[str]:
    """Yield, for each model named by its address whose fix or note asks for a key of its definition, that definition.

    Such a model has none yet, so that nobody could tell from the fix alone where the key belongs.
    """
    asking = {read_record(report).model for report in reports if _asks(report)}
    models = {
        pair.model.base.alias: pair.model.base
        for suite in suites.loaded
        for pair in suite.pairs
        if pair.model.alias in asking and _has_no_definition(pair.model)
    }
    for model in models.values():
        yield from _definition(model, suites.project_path())


def _asks(report: pytest.TestReport) -> bool:
    shown = report.longreprtext if report.failed else ""
    return bool(ASKS_FOR_A_DEFINITION.search("\n".join([shown, *read_notes(report)])))


def _has_no_definition(model: NamedModel) -> bool:
    """Whether the model has the name that an address gets: no definition has a ``#`` in its name."""
    return model.spec.kind == "endpoint" and "#" in model.base.alias


def _definition(model: NamedModel, suite: Path | None) -> Iterator[str]:
    in_pyproject = suite is not None and suite.name == "pyproject.toml"
    table = "[tool.embedbench.define.models.served]" if in_pyproject else "[models.served]"
    file = display_path(suite) if suite else SUITE_NAME
    yield (
        f"{model.alias} has no definition yet: put this into {file}, add what the fix or note above says, and use "
        "--embed-model=served"
    )
    yield f"  {table}"
    for key, text in (("kind", "endpoint"), ("url", model.spec.url), ("model", model.spec.model)):
        yield f"  {key} = {json.dumps(text, ensure_ascii=False)}"
