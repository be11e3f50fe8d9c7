"""A Hub on this machine, and processes that know no other."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.support.forkserver import LIBRARIES, Finished, ForkServer

ROOT = Path(__file__).parents[2]
KEPT_OUT = ("HF_", "HUGGING", "TRANSFORMERS_", "EMBEDBENCH_")
"""Variables of the user that would change what a process does."""


class LocalHub:
    """The server of hub_server.py, and the folder that it serves."""

    def __init__(self, root: Path, port: str) -> None:
        self.root, self.url = root, f"http://127.0.0.1:{port}"

    def add(self, kind: str, repository: str, files: Mapping[str, bytes]) -> str:
        """Commit files to ``models`` or ``datasets``, as the newest of its main branch; return the commit."""
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()  # noqa: S324 - a name
        home = self.root / kind / repository
        for name, content in files.items():
            path = home / commit / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (home / "main").write_text(commit)
        return commit

    def behave(self, **faults: object) -> None:
        """Forget what was seen, and do this wrong from now on."""
        self._call("/control", json.dumps(faults).encode())

    def seen(self) -> list[str]:
        """Return the requests that came, as ``GET /path``."""
        return list(json.loads(self._call("/control/seen")))

    def _call(self, path: str, body: bytes | None = None) -> bytes:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + path, body, timeout=120) as response:
            return bytes(response.read())


@pytest.fixture(scope="session")
def hub_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """Start the server once."""
    for library in ("uvicorn", "starlette", "huggingface_hub"):
        pytest.importorskip(library)
    root = tmp_path_factory.mktemp("hub")
    command = [sys.executable, str(Path(__file__).parent / "hub_server.py"), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield LocalHub(root, process.stdout.readline().strip())
        process.kill()


@pytest.fixture
def hub(hub_process: LocalHub) -> LocalHub:
    """Return the server, with nothing wrong and nothing seen."""
    hub_process.behave()
    return hub_process


class Machine:
    """Processes with a Hub cache of their own."""

    def __init__(self, folder: Path, url: str, fork_server: ForkServer) -> None:
        self.folder, self.cache, self._fork_server = folder, folder / "hf" / "hub", fork_server
        kept = {name: value for name, value in os.environ.items() if not name.startswith(KEPT_OUT)}
        self.environment = kept | {
            "HF_ENDPOINT": url,
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "EMBEDBENCH_CACHE": str(folder / "vectors"),
            "PYTHONPATH": str(ROOT),
            "NO_PROXY": "127.0.0.1",
        }

    def run(self, *command: str, **environment: str) -> Finished:
        """Run Python with these arguments."""
        return self._fork_server.run(*command, folder=self.folder, environment=self.environment | environment)

    def load(self, spec: Mapping[str, object], **environment: str) -> dict[str, Any]:
        """Load a dataset; its ``fingerprint``, ``revision`` and ``split``, or the ``error``."""
        code = """
            import json, sys, msgspec
            from pytest_embedbench.datasets.load import load_dataset
            from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
            from pytest_embedbench.errors import DatasetError
            spec = msgspec.json.decode(sys.argv[1], type=DatasetSpec)
            try:
                data = load_dataset(NamedDataset(alias="data", spec=spec))
            except DatasetError as error:
                print(json.dumps({"error": str(error)}))
            else:
                print(json.dumps({key: getattr(data, key) for key in ("fingerprint", "revision", "split")}))
        """
        done = self.run("-c", dedent(code), json.dumps(spec), **environment)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer | {"stderr": done.stderr}


@pytest.fixture(scope="session")
def fork_server_without_hub() -> Iterator[ForkServer]:
    """Return what starts processes that read the environment for huggingface_hub themselves."""
    server = ForkServer(LIBRARIES)
    yield server
    server.close()


@pytest.fixture
def machine(tmp_path: Path, hub: LocalHub, fork_server_without_hub: ForkServer) -> Machine:
    """Return what runs processes that know this Hub and an empty cache."""
    return Machine(tmp_path, hub.url, fork_server_without_hub)
