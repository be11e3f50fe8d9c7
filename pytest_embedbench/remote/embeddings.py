"""Bodies of ``/embeddings``, as OpenAI's API reference has them ("Create embeddings"), and servers' timing headers."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from pytest_embedbench.remote.errors import AnswerError

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMBEDDINGS_PATH = "/embeddings"

TIMING_HEADERS = (
    "openai-processing-ms",
    "x-litellm-response-duration-ms",
    # text-embeddings-inference
    "x-total-time",
    "x-queue-time",
    "x-tokenization-time",
    "x-inference-time",
    "x-envoy-upstream-service-time",
)
"""Headers in which servers report how long they took, in milliseconds."""

# One metric of W3C's Server-Timing header with its parameters, and the duration among these.
_METRIC = re.compile(r"""([^\s;,="]+)((?:\s*;\s*[\w-]+(?:=(?:"[^"]*"|[^;,"]*))?)*)""")
_DURATION = re.compile(r";\s*dur=(\d+(?:\.\d+)?)", re.ASCII)


class _Item(msgspec.Struct, frozen=True):
    embedding: list[float] | str
    index: int | None = None


class Embeddings(msgspec.Struct, frozen=True):
    """The body of an answer: vectors, as numbers or as base64 of little-endian float32, and the tokens counted."""

    data: list[_Item]
    usage: Any = None
    """The server's count of tokens, which ``usage.server_count`` reads."""

    def vectors(self, count: int, dimensions: int | None = None) -> NDArray[np.float32]:
        """Return the vectors in the order of the request's texts, shape (count, dimensions).

        An item's ``index`` decides its row if there is one; servers may answer in any order.

        Args:
            count: number of texts in the request.
            dimensions: dimensions that the vectors must have, e.g. those of an earlier answer; None for any.

        Raises:
            AnswerError: there is not one vector for each text, dimensions differ, or the base64 is broken.
        """
        if len(self.data) != count:
            raise AnswerError(f"{len(self.data)} vectors came for {count} texts")
        rows = [row if item.index is None else item.index for row, item in enumerate(self.data)]
        if sorted(rows) != list(range(count)):
            raise AnswerError(f"the vectors' indices are not 0 to {count - 1}, each once")
        vectors = [_vector(item.embedding) for item in self.data]
        lengths = {len(vector) for vector in vectors}
        if len(lengths) > 1 or 0 in lengths:
            raise AnswerError(f"the vectors of one answer have {sorted(lengths)} dimensions")
        if dimensions not in {None, *lengths}:
            raise AnswerError(f"an answer has {lengths.pop()} dimensions, the first one had {dimensions}")
        ordered = np.empty((count, *lengths), np.float32)  # lengths holds one element
        ordered[rows] = vectors
        return ordered


def _vector(embedding: list[float] | str) -> NDArray[np.float32]:
    if isinstance(embedding, list):
        return np.array(embedding, np.float32)
    try:
        return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
    except (binascii.Error, ValueError) as error:
        raise AnswerError(f"a vector's base64 cannot be read: {error}") from None


def request_body(model: str, texts: list[str], *, dimensions: int | None, encoding: str) -> dict[str, Any]:
    """Return the body of a request.

    Args:
        model: the model's name at the server.
        texts: the texts to encode.
        dimensions: dimensions to ask for; None leaves the field out, which many servers do not know.
        encoding: ``float`` or ``base64``.
    """
    body: dict[str, Any] = {"model": model, "input": texts, "encoding_format": encoding}
    return body | ({"dimensions": dimensions} if dimensions else {})


def server_times(headers: Mapping[str, str]) -> dict[str, float]:
    """Return a server's reported times in milliseconds, by header or ``server-timing:METRIC`` (W3C Server Timing).

    Args:
        headers: headers of an answer, names in lower case.
    """
    times: dict[str, float] = {}
    for name in TIMING_HEADERS:
        try:
            times[name] = float(headers[name])
        except (KeyError, ValueError):
            continue
    for metric in _METRIC.finditer(headers.get("server-timing", "")):
        if duration := _DURATION.search(metric[2]):
            times[f"server-timing:{metric[1]}"] = float(duration[1])
    return times
