"""The real mteb package reads our result files with its own loader.

mteb pulls in a hundred packages, so it lives in an environment of its own: ``make mteb`` makes it and runs this.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from pytest_embedbench.encode.loop import Silence
from pytest_embedbench.measures import DEFAULT_MEASURES
from pytest_embedbench.suite import Overrides, read_suite
from pytest_embedbench.workbench import Workbench, WorkSettings

MTEB_PYTHON = os.environ.get("EMBEDBENCH_MTEB_PYTHON", "")

READ = """
import json, sys
from pathlib import Path
from mteb import TaskResult
result = TaskResult.from_disk(Path(sys.argv[1]))
print(json.dumps({"task": result.task_name, "score": result.get_score(), "scores": result.scores}))
"""


@pytest.mark.skipif(not MTEB_PYTHON, reason="EMBEDBENCH_MTEB_PYTHON names no Python with mteb; run `make mteb`")
def test_mteb_loads_a_result_and_sees_the_same_scores(tmp_path: Path) -> None:
    pytest.importorskip("bm25s", reason="needs the extra bm25")
    suite_file = tmp_path / "embedbench.toml"
    suite_file.write_text('[embedbench]\nmodels = ["bm25"]\ndatasets = ["builtin"]\n', encoding="utf-8")
    (pair,) = read_suite(suite_file, Overrides(folder=tmp_path)).pairs
    bench = Workbench(WorkSettings(results=tmp_path / "results", device="cpu"), Silence())
    work = bench.evaluation(pair, DEFAULT_MEASURES)

    done = subprocess.run(
        [MTEB_PYTHON, "-c", READ, str(work.path)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    read = json.loads(done.stdout.splitlines()[-1])

    assert read["task"] == "builtin"
    assert read["score"] == pytest.approx(work.means["ndcg@10"])
    (scores,) = read["scores"]["test"]
    for name, value in work.means.items():
        assert scores[name.replace("@", "_at_")] == pytest.approx(value)
