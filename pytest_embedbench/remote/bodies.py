"""Bodies of answers, within bounds: what may come over a connection, and what that may unpack to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from pytest_embedbench.core.unpacking import (
    GZIP_MAGIC,
    SETTING,
    UNPACK_ERRORS,
    TooLargeError,
    gunzip,
    inflate,
    setting_bytes,
)
from pytest_embedbench.remote.errors import AnswerError, EndpointError

MAX_ANSWER = 64_000_000
"""Bytes of an answer, packed or unpacked: 700 vectors of 4,096 numbers, each written with 22 characters."""
MAX_ERROR = 1_000_000
"""Bytes that are read of an answer with an error; the rest is left."""
MAX_HEADERS = 100_000
"""Bytes of all headers of an answer, as h11 allows them."""

ACCEPTED = "gzip, deflate"
"""Ways of packing that requests ask for: those whose unpacking can be bounded without another library."""
UNASKED = frozenset({"br", "zstd", "compress", "x-compress"})
"""Ways of packing that no request asks for."""
MAX_PACKINGS = 4
"""Packings over each other that are undone."""

TOO_LARGE_FIX = (
    f"ask for fewer texts in a request, or, if answers may be so large, set the environment variable {SETTING}, "
    "e.g. to 1GB"
)


def max_answer() -> int:
    """Return the bytes that one answer may have: ``MAX_ANSWER``, or what ``$EMBEDBENCH_MAX_UNPACKED`` says.

    Raises:
        ConfigurationError: the variable is not a size.
    """
    return setting_bytes() or MAX_ANSWER


def too_large(most: int) -> str:
    """Return the problem of an answer with more than ``most`` bytes."""
    return f"the answer has more than {most:,} bytes"


async def read_body(parts: AsyncIterator[bytes], most: int, *, succeeded: bool) -> bytes:
    """Return a body as it was sent; of an error, its first megabyte.

    Args:
        parts: the body, as it comes.
        most: bytes that a successful answer may have.
        succeeded: whether the answer's status is one of success.

    Raises:
        EndpointError: a successful answer has more than ``most`` bytes.
    """
    content, most = bytearray(), most if succeeded else min(most, MAX_ERROR)
    async for part in parts:
        content += part
        if len(content) > most:
            if succeeded:
                raise EndpointError(too_large(most), fix=TOO_LARGE_FIX, fatal=True)
            return bytes(content[:most])
    return bytes(content)


def unpacked_body(content: bytes, headers: Mapping[str, str], most: int, *, succeeded: bool) -> bytes:
    """Return a body without the packing that ``Content-Encoding`` names.

    An error's body that cannot be unpacked counts as empty: its status says enough.

    Args:
        content: the body as it was sent.
        headers: headers of the answer, names in lower case.
        most: bytes that it may unpack to.
        succeeded: whether the answer's status is one of success.

    Raises:
        EndpointError: it unpacks to more.
        AnswerError: it is damaged, or packed in a way that was not asked for.
    """
    try:
        return _unpacked(content, headers.get("content-encoding", ""), most if succeeded else min(most, MAX_ERROR))
    except (TooLargeError, AnswerError, *UNPACK_ERRORS) as error:
        if not succeeded:
            return b""
        if isinstance(error, AnswerError):
            raise
        if isinstance(error, TooLargeError):
            raise EndpointError(f"the answer is too large: {error}", fix=TOO_LARGE_FIX, fatal=True) from None
        raise AnswerError(f"the answer cannot be unpacked: {error}") from None


def _unpacked(content: bytes, encodings: str, most: int) -> bytes:
    # Names of no packing, such as "utf-8", are passed over: servers write all kinds of things there.
    for name in reversed([name.strip().casefold() for name in encodings.split(",")][:MAX_PACKINGS]):
        if name in {"gzip", "x-gzip"} and content.startswith(GZIP_MAGIC):
            content = gunzip(content, most)
        elif name == "deflate":
            content = inflate(content, most)
        elif name in UNASKED:
            fix = f"have the server, or the gateway before it, pack answers as {ACCEPTED}, or not at all"
            raise AnswerError(f"the answer is packed as {name}, which was not asked for", fix=fix)
    return content


def unpacked_unasked(content: bytes, most: int) -> bytes:
    """Return a body unpacked that is gzip without saying so; some servers pack what nobody has asked for.

    Raises:
        AnswerError: it unpacks to more than ``most`` bytes.
    """
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return gunzip(content, most)
    except TooLargeError as error:
        raise AnswerError(f"the answer is too large: {error}", fix=TOO_LARGE_FIX) from None
    except UNPACK_ERRORS:
        return content
