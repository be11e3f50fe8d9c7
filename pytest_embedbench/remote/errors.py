"""Errors of requests to an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_embedbench.errors import EmbedbenchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class EndpointError(EmbedbenchError):
    """A request failed for good: its retries are used up, or a retry would get the same answer.

    Args:
        problem: what went wrong, without the API key.
        where: the address of the request.
        fix: what to do about it.
        status: the HTTP status, if there was an answer.
        fatal: whether every further request will fail too (wrong key, wrong address, patience at its end), so that a
            run should stop. Otherwise only this request failed, and one with fewer or other texts may succeed.
        timed_out: whether the server, or a gateway before it, did not answer in time, so that a smaller request may
            succeed.
        dropped: whether a server that has answered before broke the connection instead of answering, as one that
            crashes does.
    """

    def __init__(
        self,
        problem: str,
        *,
        where: str = "",
        fix: str = "",
        status: int | None = None,
        fatal: bool = False,
        timed_out: bool = False,
        dropped: bool = False,
    ) -> None:
        self.status, self.fatal, self.timed_out, self.dropped = status, fatal, timed_out, dropped
        super().__init__(problem, where=where, fix=fix)


class PassingError(EndpointError):
    """A failure of one request that may pass, so that sending it again makes sense."""


class NotReadyError(EndpointError):
    """A server that takes no request now, since it is loading, overloaded, out of quota or stopped.

    Args:
        wait: seconds that the server asks to wait; None if it names no time.
        quota: whether a quota is used up, which says nothing about the request itself.
        **more: as for ``EndpointError``.
    """

    def __init__(
        self,
        problem: str,
        *,
        where: str = "",
        status: int | None = None,
        wait: float | None = None,
        quota: bool = False,
    ) -> None:
        self.wait, self.quota = wait, quota
        super().__init__(problem, where=where, status=status)


class AnswerError(EndpointError):
    """An answer came, but it is not JSON or not of the expected shape."""


class ReportedError(EndpointError):
    """An answer with a status of success whose body reports an error."""


class OrderError(AnswerError):
    """An answer whose ``index`` numbers do not say which vector belongs to which text.

    Args:
        problem: what is wrong with them.
        standing: the vectors in the order in which they stand in the answer, shape (texts, dimensions).
    """

    def __init__(self, problem: str, standing: NDArray[np.float32]) -> None:
        self.standing = standing
        super().__init__(problem)


class CountError(AnswerError):
    """An answer with more or fewer vectors than the request had texts; ``came`` counts them."""

    def __init__(self, came: int, texts: int) -> None:
        self.came = came
        fix = "try batch_texts = 1 in the model's definition, and look at the server's log: a text must get one vector"
        vectors, of = "vector" if came == 1 else "vectors", "text" if texts == 1 else "texts"
        super().__init__(f"{came} {vectors} came for {texts} {of}", fix=fix)
