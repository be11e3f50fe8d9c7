"""An endpoint's requests and answers as bytes, for load clients that bring their own connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec
import numpy as np

from pytest_embedbench.datasets.types import Role
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import Answered, PreparedText
from pytest_embedbench.remote.answers import HttpAnswer, decode_answer, server_message
from pytest_embedbench.remote.embeddings import EMBEDDINGS_PATH, Embeddings, request_body, server_times
from pytest_embedbench.remote.errors import EndpointError
from pytest_embedbench.remote.settings import EndpointSettings

if TYPE_CHECKING:
    from pytest_embedbench.models.served.token_counts import Counter, Sent
    from pytest_embedbench.models.spec import ModelSpec

OK = range(200, 300)


def fields(spec: ModelSpec, texts: Sequence[Sent], role: Role) -> dict[str, Any]:
    """The body of one request, as the model's definition wants it."""
    # An empty text is an error to most servers.
    body = request_body(
        spec.model, [sent.text or " " for sent in texts], dimensions=spec.dimensions, encoding=spec.encoding
    )
    return {field: value for field, value in body.items() if field not in spec.unsent} | spec.request_fields[role]


@runtime_checkable
class Wired(Protocol):
    """A model that may be behind HTTP."""

    def wire(self) -> Wire | None:
        """None where it is not."""
        ...


class Wire:
    """What is sent to one endpoint, and how its answers are read.

    Raises:
        ConfigurationError: the key cannot be sent.
    """

    def __init__(
        self, alias: str, spec: ModelSpec, settings: EndpointSettings, counter: Counter, dimensions: int
    ) -> None:
        self._alias, self._spec, self._counter, self._dimensions = alias, spec, counter, dimensions
        self._key = settings.api_key()
        self.url = settings.address(EMBEDDINGS_PATH)
        self.timeout = settings.timeout

    @property
    def dimensions(self) -> int:
        return self._dimensions

    @property
    def most_texts(self) -> int:
        """That one request may hold."""
        return self._spec.batch_texts

    def headers(self) -> dict[str, str]:
        """What every request carries, the key among it: not to be shown."""
        return {"Content-Type": "application/json", **self._key.headers()}

    def body(self, batch: Sequence[PreparedText], role: Role) -> bytes:
        return msgspec.json.encode(fields(self._spec, [text.payload for text in batch], role))

    def read(self, answer: HttpAnswer, batch: Sequence[PreparedText]) -> Answered:
        """The vectors of the batch, its texts with the tokens that the server counted, and what it says of its time.

        Raises:
            ModelError: an error of the server (redirects are not followed), or not an answer to this request.
        """
        if answer.status not in OK:
            raise self.failure(f"HTTP {answer.status}: {server_message(answer, self._key)}")
        try:
            said = decode_answer(self.url, answer, Embeddings, self._key)
        except EndpointError as error:
            raise ModelError(f"model {self._alias!r}: {error}") from None
        try:
            vectors = said.vectors(len(batch), self._dimensions)
        except EndpointError as error:
            raise self.failure(str(error)) from None
        if not np.isfinite(vectors).all():
            raise self.failure("a vector holds NaN or infinity")
        return Answered(vectors, self._counter.counted(batch, said.tokens), server_times(answer.headers))

    def failure(self, message: str) -> ModelError:
        """An error that names model and address, and holds no key."""
        return ModelError(f"model {self._alias!r}: {self.url}: {self._key.redacted(message)}")
