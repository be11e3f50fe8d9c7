"""Use an endpoint's asynchronous client from threads: its event loop runs in a thread of its own."""

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
    """An endpoint for use from any thread; its connections stay open until ``close``, or the interpreter's exit.

    Raises:
        ConfigurationError: the libraries of the extra are not installed, or the key cannot be sent.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        self._endpoint = Endpoint(settings)
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._loop.run_forever, name="embedbench-endpoint", daemon=True)
        thread.start()
        # A function, not a bound method: finalize would then keep this object alive.
        self.close = weakref.finalize(self, _close, self._endpoint, self._loop, thread)

    def submit(
        self, path: str, payload: Any, kind: type[T], *, divisible: bool = False, tries: int | None = None
    ) -> Future[Reply[T]]:
        """Start a request; the future has the result of ``Endpoint.post``, and cancelling it stops the request."""
        request = self._endpoint.post(path, payload, kind, divisible=divisible, tries=tries)
        return asyncio.run_coroutine_threadsafe(request, self._loop)


def _close(endpoint: Endpoint, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    # The garbage collector may run this in the loop's own thread, which cannot wait for itself.
    if threading.current_thread() is thread:
        threading.Thread(target=_close, args=(endpoint, loop, thread)).start()
        return
    asyncio.run_coroutine_threadsafe(_finish(endpoint), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def _finish(endpoint: Endpoint) -> None:
    """Cancel the requests in flight, then close the connections."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    async with endpoint:
        pass  # leaving the block closes the connections
