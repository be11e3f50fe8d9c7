"""A small collection, a BM25 evaluation of it, and the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from pytest_embedbench.cli import main
from pytest_embedbench.core.measures import DEFAULT_MEASURES
from pytest_embedbench.encode.progress import Silence
from pytest_embedbench.engine.pair_work import PairWork, WorkSettings
from pytest_embedbench.engine.workbench import Workbench
from pytest_embedbench.suite.names import Overrides
from pytest_embedbench.suite.plan import read_suite

if TYPE_CHECKING:
    from collections.abc import Callable


def embedbench(*arguments: str | Path) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def evaluate(tmp_path: Path) -> Callable[[str], PairWork]:
    """Return a function that evaluates BM25 on a dataset, into ``results`` below ``tmp_path``."""
    pytest.importorskip("bm25s", reason="needs the extra bm25")

    def run(dataset: str) -> PairWork:
        suite = tmp_path / "embedbench.toml"
        suite.write_text(f'[embedbench]\nmodels = ["bm25"]\ndatasets = ["{dataset}"]\n', encoding="utf-8")
        (pair,) = read_suite(suite, Overrides(folder=tmp_path)).pairs
        bench = Workbench(WorkSettings(results=tmp_path / "results", device="cpu"), Silence())
        return bench.evaluation(pair, DEFAULT_MEASURES)

    return run
