"""A process with a real limit of its memory: a corpus that does not fit in one batch is encoded all the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, resource, sys
from pathlib import Path

from pytest_embedbench.encode.batch_budget import Budget
from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.models.load import load_model
from pytest_embedbench.models.spec import ModelSpec, NamedModel

model = load_model(NamedModel(alias="minilm", spec=ModelSpec(path=sys.argv[1])), device="cpu", dtype="fp32")
texts = [f"text number {number} " + "of some words " * 10 for number in range(1000)]
small = encode(model, texts[:8], "document", batch_tokens=64, progress=SilentProgress())
pages = int(Path("/proc/self/statm").read_text().split()[0])
# The widest layer alone would take 200 MB for all tokens at once.
limit = pages * resource.getpagesize() + 150_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
learned = []
done = encode(model, texts, "document", batch_tokens=Budget(10**9, (), learned.append), progress=SilentProgress())
apart = float(abs(done.vectors[:8] - small.vectors).max())
print(json.dumps({"texts": len(done.vectors), "learned": learned, "apart": apart}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and a limit on the address space")
def test_batches_shrink_until_they_fit(minilm_folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(minilm_folder)], capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    result = json.loads(ran.stdout.splitlines()[-1])
    assert result["texts"] == 1000
    assert result["learned"], "it did not fit at once"
    assert result["learned"] == sorted(result["learned"], reverse=True)
    assert result["apart"] < 1e-5
