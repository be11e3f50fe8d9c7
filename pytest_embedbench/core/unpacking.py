"""Unpack what others packed, within bounds: a megabyte of zeros packs to a thousandth of its size.

Texts pack to a third or a tenth. What unpacks to more than a hundred times its size, and to more than 256 MB, is
refused before it is in memory; ``$EMBEDBENCH_MAX_UNPACKED`` raises the bound.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from typing import IO, TYPE_CHECKING

from pytest_embedbench.core.parsing import parse_at
from pytest_embedbench.core.thresholds import parse_size

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SETTING = "EMBEDBENCH_MAX_UNPACKED"
"""Environment variable with the most bytes that one file or answer may unpack to, e.g. ``20GB``."""
ALWAYS_ALLOWED = 256_000_000
"""Bytes that anything may unpack to."""
MAX_RATIO = 100
"""Bytes that one packed byte may unpack to, where that is more."""

GZIP_MAGIC = b"\x1f\x8b"
"""First bytes of a gzip stream."""
UNPACK_ERRORS = (EOFError, zlib.error, gzip.BadGzipFile)
"""Errors of reading a damaged gzip stream, beside ``TooLargeError``."""


class TooLargeError(ValueError):
    """Content that unpacks to more than its bound; ``str`` says how much, ``FIX`` what to do."""

    FIX = f"if it may be so large, unpack it yourself, or set the environment variable {SETTING}, e.g. to 20GB"


def setting_bytes() -> int | None:
    """Return the bytes that ``$EMBEDBENCH_MAX_UNPACKED`` allows; None where it is not set.

    Raises:
        ConfigurationError: it is not a size.
    """
    setting = os.environ.get(SETTING, "").strip()
    return parse_at(f"${SETTING}", parse_size, setting) if setting else None


def max_unpacked(packed: int) -> int:
    """Return the bytes that ``packed`` bytes may unpack to.

    Raises:
        ConfigurationError: ``$EMBEDBENCH_MAX_UNPACKED`` is not a size.
    """
    return setting_bytes() or max(ALWAYS_ALLOWED, MAX_RATIO * packed)


def check_unpacked(unpacked: int, packed: int, most: int | None = None) -> None:
    """Check the size that packed content has, or that an archive declares.

    Args:
        unpacked: bytes that the content unpacks to.
        packed: its own bytes.
        most: bytes that it may unpack to; None for ``max_unpacked``.

    Raises:
        TooLargeError: it unpacks to more.
    """
    most = max_unpacked(packed) if most is None else most
    if unpacked > most:
        raise TooLargeError(f"its {packed:,} bytes unpack to more than {most:,}")


def gunzip(content: bytes, most: int | None = None) -> bytes:
    """Return the bytes that a gzip stream holds.

    Args:
        content: the stream.
        most: bytes that it may unpack to; None for ``max_unpacked``.

    Raises:
        TooLargeError: it unpacks to more.
        EOFError, zlib.error, gzip.BadGzipFile: the stream is damaged; see ``UNPACK_ERRORS``.
    """
    with open_gzip(io.BytesIO(content), len(content), most) as unpacked:
        return unpacked.read()


def inflate(content: bytes, most: int) -> bytes:
    """Return the bytes of HTTP's ``deflate``: a zlib stream, or, as some servers write it, the bare one inside.

    Raises:
        TooLargeError: it unpacks to more than ``most`` bytes.
        EOFError, zlib.error: the stream is damaged; see ``UNPACK_ERRORS``.
    """
    try:
        stream = zlib.decompressobj()
        unpacked = stream.decompress(content, most + 1)
    except zlib.error:
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        unpacked = stream.decompress(content, most + 1)
    check_unpacked(len(unpacked), len(content), most)
    if not stream.eof:
        raise EOFError("the stream ended before its end was reached")
    return unpacked


def open_gzip(file: IO[bytes], packed: int, most: int | None = None) -> IO[bytes]:
    """Return the bytes of a gzip stream as a file to read from; reading beyond the bound raises TooLargeError.

    Args:
        file: the packed stream, which the caller closes.
        packed: its size in bytes.
        most: bytes that it may unpack to; None for ``max_unpacked``.
    """
    return io.BufferedReader(_Bounded(gzip.open(file, "rb"), packed, max_unpacked(packed) if most is None else most))


class _Bounded(io.RawIOBase):
    """Counts the bytes that are read; also a single line, however long, is refused while it is read."""

    def __init__(self, unpacked: io.BufferedIOBase, packed: int, most: int) -> None:
        self._unpacked, self._packed, self._read, self._most = unpacked, packed, 0, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        count = self._unpacked.readinto(buffer)
        self._read += count
        if self._read > self._most:
            check_unpacked(self._read, self._packed, self._most)
        return count

    def close(self) -> None:
        self._unpacked.close()
        super().close()
