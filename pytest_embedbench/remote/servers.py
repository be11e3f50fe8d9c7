"""Servers as all requests of this process see them: one wait for all of them, and one pace."""

from __future__ import annotations

import asyncio
import math
import os
import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_embedbench.core.waits import ANNOUNCER, SHORTEST_SHOWN_SECONDS
from pytest_embedbench.remote.errors import EndpointError, NotReadyError

if TYPE_CHECKING:
    from pytest_embedbench.remote.settings import EndpointSettings

MAX_BACKOFF_SECONDS = 10.0
"""Seconds; the time between two tries of a server that is not ready is not doubled beyond this."""

POLL_SECONDS = 0.05
"""Seconds after which a request looks again whether it may be sent, where another one decides that."""

WIDE = 64
"""Requests in flight from which a server that was not ready counts as well again."""

PACE_MARGIN = 1.02
"""Ratio; how much longer than a minute the pace's window is, since requests do not all take equally long to arrive."""


class Turn:
    """Permission to send one request."""

    __slots__ = ("generation", "open")

    def __init__(self, generation: int) -> None:
        self.generation, self.open = generation, True


class Server:
    """One server, with the waits and the pace that hold for every request of this process to it.

    When a server is not ready, one request at a time is sent, after a time that doubles with each failure or that the
    server names; all others wait for it. Each success doubles the number of requests in flight again. Once
    ``patience`` has passed without any success, all waiting requests fail, and later requests are sent once only.

    Requests may come from several event loops in different threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self.worked = False
        """Whether any answer ever came, so that a refused connection means that the server has stopped."""
        self.successes = 0
        """Answers that were no sign of trouble."""
        self.verdicts = 0
        """Times that the server was given up."""
        self._verdict: EndpointError | None = None
        self._hopeless = False
        self._trouble: NotReadyError | None = None
        self._since = self._resume_at = 0.0
        self._failures = 0
        self._generation = 0
        self._under_way = 0
        self._most: float = math.inf
        self._sent: deque[float] = deque()

    async def turn(self, settings: EndpointSettings, verdicts: int) -> Turn:
        """Wait until a request may be sent.

        Args:
            settings: has the patience and the pace.
            verdicts: the server's ``verdicts`` when the request was new.

        Raises:
            EndpointError: the server was given up meanwhile.
        """
        while True:
            with self._lock:
                if self._verdict and self.verdicts != verdicts:
                    raise _again(self._verdict)
                now = time.monotonic()
                delay, line = self._delay(now, settings)
                if delay <= 0:
                    self._under_way += 1
                    if settings.requests_per_minute:
                        self._sent.append(now)
                    return Turn(self._generation)
            if line:
                ANNOUNCER.waiting(line)
            await asyncio.sleep(min(delay, 1.0))

    def answered(self, turn: Turn) -> None:
        """Take note of an answer that is no sign of trouble, whatever it says."""
        with self._lock:
            self.worked, self._hopeless, self._trouble, self._failures = True, False, None, 0
            self.successes += 1
            if turn.generation == self._generation:
                self._most = self._most * 2 if self._most < WIDE else math.inf
            self._close(turn)
        ANNOUNCER.over()

    def left(self, turn: Turn) -> None:
        """Take note that a request ended without an answer, e.g. was cancelled."""
        with self._lock:
            self._close(turn)

    def not_ready(self, turn: Turn, error: NotReadyError, settings: EndpointSettings) -> None:
        """Make all requests wait.

        Raises:
            EndpointError: the patience is at its end, or would be before the time that the server names.
        """
        with self._lock:
            self.worked = self.worked or error.status is not None
            now = time.monotonic()
            if self._trouble is None:
                self._since = now
            self._trouble = error
            # Of requests that fail together only the first counts: the others were sent before anybody knew.
            if turn.generation == self._generation:
                self._failures += 1
                self._generation += 1
                self._under_way, self._most = 0, 1
            self._close(turn)
            left = self._since + settings.patience - now
            backoff = min(MAX_BACKOFF_SECONDS, settings.backoff * 2 ** max(0, self._failures - 1))
            # Jitter, so that several processes do not come back at the same time.
            wait = max(error.wait or 0.0, backoff * random.uniform(0.75, 1))
            if self._hopeless or left <= 0 or (error.wait or 0.0) > left:
                raise self._given_up(error, now - self._since, settings)
            self._resume_at = max(self._resume_at, now + min(wait, left))

    def _close(self, turn: Turn) -> None:
        if turn.open and turn.generation == self._generation:
            self._under_way -= 1
        turn.open = False

    def _given_up(self, error: NotReadyError, waited: float, settings: EndpointSettings) -> EndpointError:
        if error.wait and error.wait > settings.patience - waited:
            reason = f"asks to wait {error.wait:.0f} s, longer than its patience of {settings.patience:g} s allows"
        elif self._hopeless and waited < settings.patience:
            reason = "was given up before, and is still not ready"
        else:
            reason = f"given up after {waited:.3g} s: its patience is {settings.patience:g} s"
        fix = "raise the patience, e.g. to 15 min (key patience, option --embed-patience), or read the server's log"
        if error.quota:
            fix = "set requests_per_minute to what the server allows, or raise the patience (option --embed-patience)"
        elif error.status is None:
            fix = "start the server again, then run the same command"
        self._verdict = EndpointError(
            f"{error.problem}\n  {reason}", where=error.where, fix=fix, status=error.status, fatal=True
        )
        self._hopeless, self._trouble, self._resume_at = True, None, 0.0
        self._failures, self._most = 0, math.inf
        self.verdicts += 1
        ANNOUNCER.over()
        return _again(self._verdict)

    def _delay(self, now: float, settings: EndpointSettings) -> tuple[float, str]:
        """Return the seconds for which no request may be sent, and the line that tells of it; "" for short waits."""
        if self._resume_at > now or self._under_way >= self._most:
            waited = now - self._since
            line = ""
            if self._trouble and waited >= SHORTEST_SHOWN_SECONDS:
                problem = self._trouble.problem
                line = f"waiting for {self._name}: {problem}, {waited:.0f} s of {settings.patience:.0f} s"
            return max(self._resume_at - now, POLL_SECONDS), line
        if not settings.requests_per_minute:
            return 0.0, ""
        count, window = pace(settings.requests_per_minute)
        while self._sent and self._sent[0] <= now - window:
            self._sent.popleft()
        if len(self._sent) < count:
            return 0.0, ""
        delay = self._sent[-count] + window - now
        line = f"waiting for {self._name}: {settings.requests_per_minute:g} requests a minute, next in {delay:.0f} s"
        return delay, line if delay >= SHORTEST_SHOWN_SECONDS else ""


def pace(requests_per_minute: float) -> tuple[int, float]:
    """Return a number of requests, and the seconds in which no more than these may be sent.

    Under xdist each worker takes an equal share.
    """
    share = requests_per_minute / int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    count = max(1, math.floor(share))
    return count, 60 * PACE_MARGIN * count / share


def _again(error: EndpointError) -> EndpointError:
    """Return a new error with the same text, since one error raised twice would carry both tracebacks."""
    return EndpointError(error.problem, where=error.where, fix=error.fix, status=error.status, fatal=True)


_SERVERS: dict[tuple[str, str, str], Server] = {}
_LOCK = threading.Lock()


def server_of(settings: EndpointSettings) -> Server:
    """Return the server of an address, the same for all models behind it that use the same key."""
    parts = urlsplit(settings.url)
    key = (parts.scheme, parts.netloc, settings.api_key_env)
    with _LOCK:
        return _SERVERS.setdefault(key, Server(f"{parts.scheme}://{parts.netloc}"))


def forget_servers() -> None:
    """Forget what is known of all servers, as a new process would."""
    with _LOCK:
        _SERVERS.clear()
