"""The bodies of ``/embeddings``, as OpenAI's API reference has them ("Create embeddings"), and timing headers."""

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

PATH = "/embeddings"

MILLISECONDS = (
    "openai-processing-ms",
    "x-litellm-response-duration-ms",
    # text-embeddings-inference
    "x-total-time",
    "x-queue-time",
    "x-tokenization-time",
    "x-inference-time",
    "x-envoy-upstream-service-time",
)
"""Headers in which servers say how long they took, all in milliseconds."""

METRIC = re.compile(r"""([^\s;,="]+)((?:\s*;\s*[\w-]+(?:=(?:"[^"]*"|[^;,"]*))?)*)""")
DURATION = re.compile(r";\s*dur=(\d+(?:\.\d+)?)", re.ASCII)


class _Item(msgspec.Struct, frozen=True):
    embedding: list[float] | str
    index: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class Embeddings(msgspec.Struct, frozen=True):
    """An answer: vectors, as numbers or as base64 of float32, little endian, and the tokens that the server counted."""

    data: list[_Item]
    usage: _Usage | None = None

    @property
    def tokens(self) -> int:
        """Tokens of all texts of the request; 0 where the server counts none."""
        usage = self.usage or _Usage()
        return usage.prompt_tokens or usage.total_tokens or 0

    def vectors(self, count: int, dimensions: int | None = None) -> NDArray[np.float32]:
        """The vectors in the order of the request's texts, shape (count, dimensions).

        Where the items have an ``index`` it decides; servers may answer in any order.

        Raises:
            AnswerError: not one vector for each text, vectors of different lengths, or of another one than those of an
                earlier answer (``dimensions``), or broken base64.
        """
        if len(self.data) != count:
            raise AnswerError(f"{len(self.data)} vectors came for {count} texts")
        places = [index if item.index is None else item.index for index, item in enumerate(self.data)]
        if sorted(places) != list(range(count)):
            raise AnswerError(f"the vectors' indices are not 0 to {count - 1}, each once")
        rows = [_vector(item.embedding) for item in self.data]
        lengths = {len(row) for row in rows}
        if len(lengths) > 1 or 0 in lengths:
            raise AnswerError(f"the vectors of one answer have {sorted(lengths)} dimensions")
        if dimensions not in {None, *lengths}:
            raise AnswerError(f"an answer has {lengths.pop()} dimensions, the first one had {dimensions}")
        ordered = np.empty((count, *lengths), np.float32)
        ordered[places] = rows
        return ordered


def _vector(embedding: list[float] | str) -> NDArray[np.float32]:
    if isinstance(embedding, list):
        return np.array(embedding, np.float32)
    try:
        return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
    except (binascii.Error, ValueError) as error:
        raise AnswerError(f"a vector's base64 cannot be read: {error}") from None


def request(model: str, texts: list[str], *, dimensions: int | None, encoding: str) -> dict[str, Any]:
    """The body of a request; ``dimensions`` is left out where None, for many servers know it not."""
    body: dict[str, Any] = {"model": model, "input": texts, "encoding_format": encoding}
    return body | ({"dimensions": dimensions} if dimensions else {})


def server_times(headers: Mapping[str, str]) -> dict[str, float]:
    """Milliseconds that a server says it took, by header, or by ``server-timing:METRIC`` (W3C Server Timing).

    Args:
        headers: names in lower case.
    """
    times: dict[str, float] = {}
    for name in MILLISECONDS:
        try:
            times[name] = float(headers[name])
        except (KeyError, ValueError):
            continue
    for metric in METRIC.finditer(headers.get("server-timing", "")):
        if duration := DURATION.search(metric[2]):
            times[f"server-timing:{metric[1]}"] = float(duration[1])
    return times
