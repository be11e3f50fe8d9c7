"""How much a server takes at a time, as its answers, refusals and time-outs have shown."""

from __future__ import annotations

import threading
from dataclasses import dataclass

TIMEOUT_SHARE = 0.5
"""Share of the time-out that a request is expected to take, at most; texts differ in length, and servers in load."""

FORGETTING = 0.5
"""Weight of the estimate so far against a faster answer; a slower answer replaces it at once."""


@dataclass
class Pace:
    """Sizes that hold for all requests to a model of one server, remembered while the model is in use.

    The definition's limits hold first. A refused batch and a time-out lower them for good. And no request is larger
    than the server can answer in time, by the seconds that it took so far: at first, by those of the texts with which
    it is recognised, as if it worked on one request after the other.

    Args:
        most_texts: texts of one request, at most, by the model's definition.
        most_requests: requests in flight, at most, by the model's definition.
        timeout: seconds for one request.
    """

    most_texts: int
    most_requests: int
    timeout: float
    splits: bool = True
    """Whether requests may be cut to what the server takes; not while their size is what is measured."""
    in_order: bool = False
    """Whether a probe has shown that vectors stand in the order of the texts, so that wrong indices do not matter."""

    def __post_init__(self) -> None:
        self._notes: dict[str, str] = {}
        self._lock = threading.Lock()
        self._in_flight = 0
        self._seconds = 0.0
        """Seconds for one text with one request in flight."""

    @property
    def requests(self) -> int:
        """Requests in flight, at most."""
        return min(self.most_requests, max(1, int(self._affordable)))

    @property
    def texts(self) -> int:
        """Texts of one request, at most."""
        return min(self.most_texts, max(1, int(self._affordable / self.requests)))

    @property
    def _affordable(self) -> float:
        """Texts that may be under way at once, in all requests, so that each is answered in time."""
        most = self.most_texts * self.most_requests
        return min(most, self.timeout * TIMEOUT_SHARE / self._seconds) if self._seconds else most

    def sending(self) -> int:
        """Count a request as in flight; return how many are, this one included."""
        with self._lock:
            self._in_flight += 1
            return self._in_flight

    def ended(self, sending: int) -> int:
        """Count a request as no longer in flight; return how many were beside it, at most, itself included.

        Args:
            sending: what ``sending`` returned for the request.
        """
        with self._lock:
            self._in_flight -= 1
            return max(sending, self._in_flight + 1)

    def answered(self, texts: int, seconds: float, in_flight: int) -> None:
        """Learn from a request of so many texts, answered after so many seconds beside others."""
        seconds /= max(1, texts) * max(1, in_flight)
        slowly_less = FORGETTING * self._seconds + (1 - FORGETTING) * seconds
        self._seconds = max(seconds, slowly_less) if self._seconds else seconds

    def refused(self, texts: int, reason: str) -> None:
        """Send fewer than so many texts from now on, since the server refuses as many.

        Args:
            texts: texts of the smallest request that was refused for its size.
            reason: the server's words.
        """
        half = max(1, texts // 2)
        if half < self.most_texts:
            self.most_texts = half
            self._notes["size"] = (
                f"the server refuses {texts:,} texts in one request ({reason}); they are sent {half:,} at a time, and "
                f"batch_texts = {half} in the model's definition does so from the start"
            )

    def timed_out(self, texts: int, in_flight: int, problem: str) -> None:
        """Send fewer texts, and fewer requests at once, from now on, since as many were not answered in time.

        Args:
            texts: texts of the request.
            in_flight: limit on the requests in flight.
            problem: what came instead of an answer.
        """
        half, fewer = max(1, texts // 2), max(1, in_flight // 2)
        if half < self.most_texts or fewer < self.most_requests:
            self.most_texts, self.most_requests = min(half, self.most_texts), min(fewer, self.most_requests)
            unanswered = "a text" if texts == 1 else f"{texts:,} texts"
            self._notes["time"] = (
                f"the server did not answer {unanswered} in time ({problem}); from then on "
                f"{self.most_texts:,} were sent in one request, and {self.most_requests:,} requests at once "
                "(keys batch_texts, concurrency and timeout)"
            )

    def trust_order(self, problem: str) -> None:
        """Take vectors in the order in which they stand wherever their indices are wrong."""
        self.in_order = True
        self._notes["order"] = (
            f"{problem}; texts sent alone have the vectors that stand in their places, so the order of the answer holds"
        )

    def take_notes(self) -> list[str]:
        """Return notes for the user on what has changed since the last call."""
        notes = list(self._notes.values())
        self._notes.clear()
        return notes
