"""MiniLM behind HTTP, in a process of its own, and a proxy before it that breaks things."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.models.spec import ModelSpec, NamedModel

if TYPE_CHECKING:
    from pytest_embedbench.models.served.endpoint import EndpointModel
    from tests.support.forkserver import ForkServer

SERVE = Path(__file__).parents[3] / "examples" / "endpoint" / "serve.py"
NAME = "all-MiniLM-L6-v2"


@contextmanager
def script(*command: str) -> Iterator[str]:
    """Start a Python script and give the line that it prints when it listens."""
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line, f"{command[0]} did not start"
        yield line
        process.kill()


class Proxy:
    """The proxy of proxy.py."""

    def __init__(self, port: str) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.url = f"{self.address}/v1"

    def behave(self, *faults: dict[str, Any], default: dict[str, Any] | None = None) -> None:
        """Forget what came; do these faults, one for each request, then the default (absent: forward)."""
        self._call(json.dumps({"script": faults, "default": default}).encode())

    def bodies(self) -> list[dict[str, Any]]:
        """Return the bodies of the requests that came."""
        return list(self._call()["bodies"])

    def peak(self) -> int:
        """Return how many requests were under way at once, at most."""
        return int(self._call()["peak"])

    def _call(self, body: bytes | None = None) -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.address}/control", body, timeout=120) as response:
            return json.load(response)


@pytest.fixture(scope="session")
def served(minilm_folder: Path, fork_server: ForkServer) -> Iterator[str]:
    """Return the address of MiniLM behind HTTP."""
    for library in ("uvicorn", "starlette", "httpx2"):
        pytest.importorskip(library)
    with fork_server.serving(str(SERVE), "--port=0") as address:
        yield address


@pytest.fixture(scope="session")
def proxy_process(served: str) -> Iterator[Proxy]:
    with script(str(Path(__file__).parent / "proxy.py"), served.removesuffix("/v1")) as port:
        yield Proxy(port)


@pytest.fixture
def proxy(proxy_process: Proxy) -> Proxy:
    """Return the proxy, honest, with nothing seen."""
    proxy_process.behave()
    return proxy_process


Connect = Callable[..., "EndpointModel"]


@pytest.fixture
def connect(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Return a function that gives the model behind the proxy, as a definition with these keys does."""
    from pytest_embedbench.models.served import endpoint
    from pytest_embedbench.models.served.pace import Pace
    from pytest_embedbench.remote.settings import EndpointSettings

    # This machine may be slow, which would make requests smaller than the tests expect.
    monkeypatch.setattr(Pace, "answered", lambda *_, **__: None)
    # Retries wait half a second and more; here they need not.
    monkeypatch.setattr(endpoint, "EndpointSettings", lambda **keys: EndpointSettings(**{"backoff": 0.01, **keys}))
    made: list[EndpointModel] = []

    def make(**keys: Any) -> EndpointModel:
        made.append(endpoint.EndpointModel(named(proxy.url, **keys)))
        return made[-1]

    yield make
    for model in made:
        model.close()


def named(url: str, **keys: Any) -> NamedModel:
    """Return the model as a definition with these keys has it."""
    return NamedModel(alias="served", spec=ModelSpec(kind="endpoint", url=url, **{"model": NAME, **keys}))
