"""The real mteb package reads our result files with its own loader, and what it writes can be imported.

mteb pulls in a hundred packages, so it lives in an environment of its own: ``make mteb`` makes it and runs this.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pytest_embedbench.cli import main
from pytest_embedbench.core.measures import DEFAULT_MEASURES
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.engine.pair_work import PairWork, WorkSettings
from pytest_embedbench.engine.workbench import Workbench
from pytest_embedbench.results.store import Store
from pytest_embedbench.suite.model_names import Overrides
from pytest_embedbench.suite.plan import read_suite
from tests.conftest import MakeBeir

MTEB_PYTHON = os.environ.get("EMBEDBENCH_MTEB_PYTHON", "")

READ = """
import json, sys
from pathlib import Path
from mteb import TaskResult
result = TaskResult.from_disk(Path(sys.argv[1]))
if len(sys.argv) > 2:
    result.to_disk(Path(sys.argv[2]))
print(json.dumps({"task": result.task_name, "score": result.get_score(), "scores": result.scores}))
"""

LOAD = """
import json, mteb
results = mteb.load_results(tasks=["SciFact"], download_latest=False)
print(json.dumps({model.model_name: {task.task_name: task.get_score() for task in model.task_results} for model in results}))
"""

pytestmark = pytest.mark.skipif(
    not MTEB_PYTHON, reason="EMBEDBENCH_MTEB_PYTHON names no Python with mteb; run `make mteb`"
)


@pytest.fixture
def work(tmp_path: Path) -> PairWork:
    """Evaluate BM25 on the built-in dataset."""
    pytest.importorskip("bm25s", reason="needs the extra bm25")
    suite_file = tmp_path / "embedbench.toml"
    suite_file.write_text('[embedbench]\nmodels = ["bm25"]\ndatasets = ["builtin"]\n', encoding="utf-8")
    (pair,) = read_suite(suite_file, Overrides(folder=tmp_path)).pairs
    bench = Workbench(WorkSettings(results=tmp_path / "results", device="cpu"), SilentProgress())
    return bench.evaluation(pair, DEFAULT_MEASURES)


def mteb_reads(path: Path, *writes: Path) -> dict[str, Any]:
    """What mteb sees in the file; it writes what it saw to another one, where that is given."""
    command = [MTEB_PYTHON, "-c", READ, *map(str, (path, *writes))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=path.parent)
    read: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return read


def test_mteb_loads_a_result_and_sees_the_same_scores(work: PairWork) -> None:
    read = mteb_reads(work.path)
    assert read["task"] == "builtin"
    assert read["score"] == pytest.approx(work.means["ndcg@10"])
    (scores,) = read["scores"]["test"]
    for name, value in work.means.items():
        assert scores[name.replace("@", "_at_")] == pytest.approx(value)


def test_what_mteb_writes_is_imported_with_the_same_means_and_mteb_reads_that_again(
    work: PairWork, tmp_path: Path
) -> None:
    place = work.path.relative_to(tmp_path / "results")
    theirs = tmp_path / "theirs" / place
    theirs.parent.mkdir(parents=True)
    mteb_reads(work.path, theirs)
    assert "embedbench" not in json.loads(theirs.read_text("utf-8")), "mteb keeps its own fields only"
    done = CliRunner().invoke(main, ["import-mteb", str(tmp_path / "theirs"), "--out", str(tmp_path / "imported")])
    assert done.exit_code == 0, done.output
    imported = tmp_path / "imported" / place
    result = Store(tmp_path / "imported").load(imported)
    assert result is not None
    assert result.embedbench.means == pytest.approx(work.means, abs=5e-7), "mteb writes 6 decimals"
    assert mteb_reads(imported)["score"] == pytest.approx(work.means["ndcg@10"], abs=5e-7)


def test_mteb_finds_a_result_by_the_name_of_its_task(tmp_path: Path, make_beir: MakeBeir) -> None:
    """Mteb looks at file names, so a folder called scifact has the file SciFact.json."""
    make_beir("scifact")
    suite_file = tmp_path / "embedbench.toml"
    suite_file.write_text('[embedbench]\nmodels = ["bm25"]\ndatasets = ["scifact"]\n', encoding="utf-8")
    (pair,) = read_suite(suite_file, Overrides(folder=tmp_path)).pairs
    bench = Workbench(WorkSettings(results=tmp_path / "results", device="cpu"), SilentProgress())
    work = bench.evaluation(pair, DEFAULT_MEASURES)
    assert work.path.name == "SciFact.json"
    done = subprocess.run(
        [MTEB_PYTHON, "-c", LOAD],
        env={**os.environ, "MTEB_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "embedbench/bm25": {"SciFact": pytest.approx(work.means["ndcg@10"], abs=1e-5)}
    }
