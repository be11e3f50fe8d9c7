"""What errors that no waiting helps against say to do: they name the variable, the address or the command."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_embedbench.remote.client import Endpoint
from pytest_embedbench.remote.errors import EndpointError
from pytest_embedbench.remote.fixes import connection_problem, status_fix
from pytest_embedbench.remote.settings import EndpointSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sk-0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("SET_KEY", KEY)


@pytest.mark.parametrize(
    ("status", "keys", "message", "fix"),
    [
        (401, {}, "", 'api_key_env = "NAME" in the model\'s definition (no API key was sent)'),
        (401, {"query": {"api-version": "1"}}, "", 'headers = { api-key = "$NAME" } in the model\'s definition'),
        (403, {"api_key_env": "UNSET_KEY"}, "", "set the environment variable UNSET_KEY to the key"),
        (401, {"api_key_env": "SET_KEY"}, "", "the server refuses SET_KEY: is it a key of this server"),
        (401, {"headers": {"api-key": "$SET_KEY"}}, "", "the server refuses SET_KEY"),
        (404, {}, "The model `x` does not exist", "give the model's name as this server has it: curl http://h/models"),
        (404, {}, "Not Found", "give the address with the version, http://h/v1"),
        (404, {"url": "http://h/v1?a=b"}, "Not Found", "curl http://h/v1/models lists the models' names"),
        (405, {"url": "http://h/v2/"}, "", "check the address and the model's name: curl http://h/v2/models"),
        (404, {"url": "http://h/v1/embeddings"}, "", "without /embeddings, which is added to it: http://h/v1"),
        (404, {"url": "http://h/v1"}, "Resource not found", 'query = { api-version = "..." } in the model\'s'),
        (404, {"url": "http://h/v1?api-version=1"}, "Resource not found", "curl http://h/v1/models"),
        (402, {}, "", "look at the account's credit"),
        (407, {}, "", "look at HTTP_PROXY"),
        (418, {}, "", ""),
    ],
)
def test_statuses(status: int, keys: dict[str, Any], message: str, fix: str) -> None:
    found = status_fix(status, EndpointSettings(**{"url": "http://h", **keys}), message)
    assert fix in found
    assert bool(fix) == bool(found)
    assert KEY not in found


def certificate_error(message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {message}")
    error.verify_message = message
    return error


@pytest.mark.parametrize(
    ("cause", "meaning", "fix", "final"),
    [
        (certificate_error("self-signed certificate"), "TLS: self-signed certificate", "set SSL_CERT_FILE to", True),
        (certificate_error("Hostname mismatch"), "TLS: Hostname mismatch", "write the host as the certificate", True),
        (certificate_error("certificate has expired"), "expired", "the certificate of h is not trusted here", True),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"), "TLS:", "write http://h:8443/v1", True),
        (socket.gaierror(-2, "Name or service not known"), "unknown host h", "check the host's name, h", False),
        (ConnectionRefusedError(111, "refused"), "connection refused", "nothing listens at h:8443", False),
        (OSError(113, "No route to host"), "", "check the address, h:8443", False),
    ],
)
def test_connections(cause: Exception, meaning: str, fix: str, final: bool) -> None:
    error = RuntimeError("All connection attempts failed")
    error.__cause__ = ExceptionGroup("several", [OSError("one"), cause])
    found = connection_problem(error, EndpointSettings(url="https://h:8443/v1"))
    assert meaning in found[0]
    assert fix in found[1]
    assert found[2] == final


def test_a_proxy_is_named_in_place_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{KEY}@proxy:3128")
    settings = EndpointSettings(url="https://h/v1")
    found = connection_problem(ConnectionRefusedError(), settings)
    assert found[:2] == (
        "no connection through the proxy",
        "look at HTTPS_PROXY (or ALL_PROXY) in the environment, or add h to NO_PROXY",
    )
    monkeypatch.setenv("NO_PROXY", "h")
    assert connection_problem(ConnectionRefusedError(), settings)[0] == "connection refused"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Return a port whose server closes each connection at once, as one that wants TLS does with plain HTTP."""

    async def serve(ready: asyncio.Future[int], over: asyncio.Event) -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        ready.set_result(server.sockets[0].getsockname()[1])
        await over.wait()
        server.close()

    import threading

    loop = asyncio.new_event_loop()
    ready, over = loop.create_future(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(ready, over)))
    thread.start()
    while not ready.done():
        thread.join(0.01)
    yield ready.result()
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.close()


def test_a_server_that_breaks_every_connection_may_want_tls(silent_port: int) -> None:
    class Number(msgspec.Struct):
        n: int

    async def run() -> None:
        async with Endpoint(EndpointSettings(url=f"http://127.0.0.1:{silent_port}/v1", backoff=0.01)) as endpoint:
            await endpoint.post("/things", {}, Number)

    with pytest.raises(EndpointError, match=r"\(after 3 attempts\)\n  fix: the server may want TLS: write https://127"):
        asyncio.run(run())
