"""Bodies of ``/embeddings``, as OpenAI's API reference has them ("Create embeddings"), and servers' timing headers."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from pytest_embedbench.remote.errors import AnswerError, CountError, OrderError

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

MAX_SERVER_MS = 1e9
"""Milliseconds, ten days; a server that reports more measures something else."""

# One metric of W3C's Server-Timing header with its parameters, and the duration among these.
_METRIC = re.compile(r"""([^\s;,="]+)((?:\s*;\s*[\w-]+(?:=(?:"[^"]*"|[^;,"]*))?)*)""")
_DURATION = re.compile(r";\s*dur=(\d+(?:\.\d+)?)", re.ASCII)


class _Item(msgspec.Struct, frozen=True):
    embedding: Any = None
    index: Any = None


class Embeddings(msgspec.Struct, frozen=True):
    """The body of an answer: vectors, as numbers or as base64 of little-endian float32, and the tokens counted."""

    data: list[_Item]
    usage: Any = None
    """The server's count of tokens, which ``usage.server_count`` reads."""

    def vectors(self, count: int, dimensions: int | None = None, *, in_order: bool = False) -> NDArray[np.float32]:
        """Return the vectors in the order of the request's texts, shape (count, dimensions).

        An item's ``index`` decides its row; servers may answer in any order. A text that has no vector (null), or no
        number in one of its dimensions, has NaN there.

        Args:
            count: number of texts in the request.
            dimensions: dimensions that the vectors must have, e.g. those of an earlier answer; None for any.
            in_order: whether the server is known to answer in the order of the texts: then the order in which vectors
                stand holds where indices are missing or wrong.

        Raises:
            CountError: there are more or fewer vectors than texts.
            OrderError: the indices are not those of the texts.
            AnswerError: dimensions differ, or a vector is not a list of numbers.
        """
        if len(self.data) != count:
            raise CountError(len(self.data), count)
        vectors = [_vector(item.embedding) for item in self.data]
        # An empty one is as good as none, unless all are.
        found = {len(vector) for vector in vectors if vector is not None and len(vector)}
        if not found and dimensions is None and any(vector is not None for vector in vectors):
            raise AnswerError("the vectors are empty", fix=NO_VECTORS_FIX)
        if len(found) > 1:
            raise AnswerError(f"the vectors of one answer have {sorted(found)} dimensions", fix=DIMENSIONS_FIX)
        width = found.pop() if found else dimensions
        if width is None:
            raise AnswerError("the vectors are null", fix=NO_VECTORS_FIX)
        if dimensions not in {None, width}:
            problem = f"an answer has {width} dimensions, the first one had {dimensions}"
            raise AnswerError(problem, fix=DIMENSIONS_FIX)
        standing = np.full((count, width), np.nan, np.float32)
        with np.errstate(over="ignore"):  # a number beyond 32 bits becomes infinite, which is reported with its text
            for row, vector in enumerate(vectors):
                if vector is not None and len(vector):
                    standing[row] = vector
        rows = [item.index for item in self.data]
        if count == 1 or (all(type(row) is int for row in rows) and sorted(rows) == list(range(count))):
            ordered = np.empty_like(standing)
            ordered[rows if count > 1 else [0]] = standing
            return ordered
        if in_order:
            return standing
        given = "missing" if all(row is None for row in rows) else f"not 0 to {count - 1}, each once"
        raise OrderError(f"the vectors' indices are {given}", standing)


NO_VECTORS_FIX = "check that the server serves an embedding model under this name, with pooling"

DIMENSIONS_FIX = "check that one model alone answers at this address: every vector must have the same length"

POOLING_FIX = (
    "start the server with pooling, so that it gives one vector a text: vLLM --runner pooling (--task embed), "
    "llama.cpp --pooling mean, text-embeddings-inference --pooling mean (or cls, last-token: the model's own)"
)


def _vector(embedding: Any) -> NDArray[np.float32] | None:
    """Return a vector from numbers or base64; None where there is none."""
    if embedding is None:
        return None
    if isinstance(embedding, str):
        try:
            return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
        except (binascii.Error, ValueError) as error:
            problem = f"a vector's base64 cannot be read: {error}"
            raise AnswerError(problem, fix='try encoding = "float" in the model\'s definition') from None
    if not isinstance(embedding, list):
        raise AnswerError(f"a vector is of type {type(embedding).__name__}, not a list of numbers", fix=NO_VECTORS_FIX)
    kinds = set(map(type, embedding))
    if kinds <= {float, int, type(None)}:
        # A number beyond float32's range becomes infinity, which the caller names with its text.
        with np.errstate(over="ignore"), suppress(OverflowError):
            return np.array(embedding, np.float64).astype(np.float32)
        raise AnswerError("a vector holds whole numbers beyond any float", fix=NO_VECTORS_FIX)
    if list in kinds:
        shape = f"{len(embedding)} x {len(embedding[0]) if isinstance(embedding[0], list) else '?'}"
        problem = f"a text's embedding is a list of vectors ({shape}), one a token: the server does not pool"
        raise AnswerError(problem, fix=POOLING_FIX)
    names = ", ".join(sorted(kind.__name__ for kind in kinds - {float, int, type(None)}))
    raise AnswerError(f"a vector holds values of type {names}, not numbers", fix=NO_VECTORS_FIX)


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
            milliseconds = float(headers[name])
        except (KeyError, ValueError):
            continue
        if 0 <= milliseconds <= MAX_SERVER_MS:  # not NaN either
            times[name] = milliseconds
    for metric in _METRIC.finditer(headers.get("server-timing", "")):
        if (duration := _DURATION.search(metric[2])) and float(duration[1]) <= MAX_SERVER_MS:
            times[f"server-timing:{metric[1]}"] = float(duration[1])
    return times
