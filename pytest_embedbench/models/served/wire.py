"""An endpoint's requests and answers as bytes, for load clients that bring their own connections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec
import numpy as np

from pytest_embedbench.datasets.types import Role
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import AnsweredBatch, PreparedText
from pytest_embedbench.models.served.refusals import too_long_fix, whole_request_fix
from pytest_embedbench.remote.answers import HttpAnswer, decode_answer, server_message
from pytest_embedbench.remote.embeddings import EMBEDDINGS_PATH, Embeddings, request_body, server_times
from pytest_embedbench.remote.errors import EndpointError
from pytest_embedbench.remote.settings import EndpointSettings
from pytest_embedbench.remote.statuses import NOT_READY_STATUSES, status_problem
from pytest_embedbench.remote.usage import server_count

if TYPE_CHECKING:
    from pytest_embedbench.models.served.pace import Pace
    from pytest_embedbench.models.served.token_counts import RequestTokenCounter, SentText
    from pytest_embedbench.models.spec import ModelSpec

SUCCESS = range(200, 300)
"""HTTP status codes of success (RFC 9110, 15.3)."""

NOT_READY_FIX = (
    "a load profile takes refusals as they come, since waiting would hide them: leave the profile out for this model, "
    "ask for less load, or let the server take more"
)
"""What to do where a server that is under load refuses a request for its quota, or since it is overloaded."""


def request_fields(spec: ModelSpec, texts: Sequence[SentText], role: Role) -> dict[str, Any]:
    """Return the body of one request, with the fields that the model's definition asks for."""
    # An empty text is an error to most servers.
    body = request_body(
        spec.model, [sent.text or " " for sent in texts], dimensions=spec.dimensions, encoding=spec.encoding
    )
    return {field: value for field, value in body.items() if field not in spec.unsent} | spec.request_fields[role]


@runtime_checkable
class Wired(Protocol):
    """A model that may run behind HTTP."""

    def wire(self) -> Wire | None:
        """Return the writer and reader of the model's requests; None if the model does not run behind HTTP."""
        ...


class Wire:
    """Writes requests to one endpoint, and reads its answers.

    Raises:
        ConfigurationError: the key cannot be sent.
    """

    def __init__(
        self,
        alias: str,
        spec: ModelSpec,
        settings: EndpointSettings,
        counter: RequestTokenCounter,
        pace: Pace,
        dimensions: int,
    ) -> None:
        self._alias, self._spec, self._counter, self._dimensions = alias, spec, counter, dimensions
        self._pace = pace
        self._credentials = settings.credentials()
        self._key = self._credentials.secret
        self.url = settings.address(EMBEDDINGS_PATH)
        self.timeout = settings.timeout

    @property
    def dimensions(self) -> int:
        return self._dimensions

    @property
    def max_texts(self) -> int:
        """Texts that one request may hold, at most."""
        return self._spec.batch_texts

    def headers(self) -> dict[str, str]:
        """Return the headers of every request. They hold the key, so they must not be shown."""
        return {"Content-Type": "application/json", **self._credentials.headers}

    def query(self) -> str:
        """Return the query of the address, which may hold secrets too."""
        return self._credentials.query

    def body(self, batch: Sequence[PreparedText], role: Role) -> bytes:
        return msgspec.json.encode(request_fields(self._spec, [text.payload for text in batch], role))

    def read(self, answer: HttpAnswer, batch: Sequence[PreparedText]) -> AnsweredBatch:
        """Return the batch's vectors, its texts with the tokens that the server counted, and the server's own times.

        Raises:
            ModelError: the server reports an error (redirects are not followed), or does not answer this request.
        """
        try:
            if answer.status not in SUCCESS:
                problem = status_problem(answer.status, server_message(answer, self._key))
                raise EndpointError(problem, status=answer.status)  # noqa: TRY301 - refusals under 200 end here too
            embeddings = decode_answer(self.url, answer, Embeddings, self._key)
            vectors = embeddings.vectors(len(batch), self._dimensions, in_order=self._pace.in_order)
        except EndpointError as error:
            if answer.status in NOT_READY_STATUSES:
                raise self.failure(error.problem, NOT_READY_FIX) from None
            too_long = too_long_fix(self._spec, error.problem)
            raise self.failure(error.problem, whole_request_fix(len(batch), error, too_long) or error.fix) from None
        broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(broken):
            text = batch[broken[0]].payload.text
            raise self.failure(f"the vector of a text is NaN or infinite: {text[:200]!r}")
        texts = self._counter.counted(batch, server_count(embeddings.usage, answer.headers))
        return AnsweredBatch(vectors, texts, server_times(answer.headers))

    def timed_out(self, batch: Sequence[PreparedText]) -> ModelError:
        """Return the error for a request without an answer in time."""
        error = EndpointError(f"no answer within {self.timeout:g} s", timed_out=True)
        return self.failure(error.problem, whole_request_fix(len(batch), error))

    def failure(self, problem: str, fix: str = "") -> ModelError:
        """Return an error that names model and address, with the key taken out."""
        return ModelError(f"{self.url}: {self._key.redacted(problem)}", where=f"model {self._alias!r}", fix=fix)

    @contextmanager
    def whole_requests(self) -> Iterator[None]:
        """Let the model send its requests as they are, so that one that the server does not take is an error."""
        before, self._pace.splits = self._pace.splits, False
        try:
            yield
        finally:
            self._pace.splits = before
