"""An endpoint's client for threads: an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import weakref
from concurrent.futures import Future
from typing import Any, TypeVar

from pytest_embedbench.remote.client import Endpoint, Reply
from pytest_embedbench.remote.settings import EndpointSettings

T = TypeVar("T")


class BackgroundEndpoint:
    """Post from any thread; connections stay open between requests until ``close``, at the latest at exit.

    Raises:
        ConfigurationError: the libraries of the extra are not installed, or the key cannot be sent.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        self._endpoint = Endpoint(settings)
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._loop.run_forever, name="embedbench-endpoint", daemon=True)
        thread.start()
        # Not a method: that would keep the object alive.
        self.close = weakref.finalize(self, _close, self._endpoint, self._loop, thread)

    def submit(self, path: str, payload: Any, kind: type[T]) -> Future[Reply[T]]:
        """Begin a request; the future gives what ``Endpoint.post`` does, and cancelling it stops the request."""
        return asyncio.run_coroutine_threadsafe(self._endpoint.post(path, payload, kind), self._loop)


def _close(endpoint: Endpoint, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    if threading.current_thread() is thread:  # the last reference went there; it cannot wait for itself
        threading.Thread(target=_close, args=(endpoint, loop, thread)).start()
        return
    asyncio.run_coroutine_threadsafe(_finish(endpoint), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def _finish(endpoint: Endpoint) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    async with endpoint:
        pass  # leaving it closes its connections
