"""The embedding cache: vectors of texts that were encoded before. If the cache fails, the run goes on without it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

import msgspec
import numpy as np

from pytest_embedbench.core.decoding import decode_json
from pytest_embedbench.datasets.types import Role
from pytest_embedbench.encode.cache_file import FRESH_SECONDS, VectorFile, VectorRow
from pytest_embedbench.encode.lookup import CachedVectors
from pytest_embedbench.models.protocol import ModelFacts, PreparedText

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Vectors

T = TypeVar("T")

DEFAULT_MAX_BYTES = 5 * 10**9
"""Bytes; size of the cache, unless the user chose another."""

DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
"""SQLite's error codes of a damaged file."""


def default_folder() -> Path:
    """Return the user's folder: ``$EMBEDBENCH_CACHE``, else ``pytest-embedbench`` in the system's folder for caches."""
    if chosen := os.environ.get("EMBEDBENCH_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "pytest-embedbench"


class SpaceKey(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that determines a vector, except for the text."""

    fingerprint: str
    """sha256 of the model's files: weights, configuration, vocabulary."""
    role: Role
    prompt: str
    max_tokens: int | None
    dtype: str
    device: str
    """Kind of device; a vector depends on it, since processors and GPUs add up in different orders."""
    attention: str
    pooling: str
    backend: str
    libraries: Mapping[str, str | None]
    """Versions of libraries, and values of environment variables. None, as earlier versions wrote it, is a library that
    was not installed."""

    @staticmethod
    def read(text: str) -> SpaceKey:
        """Read a key from JSON, as ``dump`` writes it.

        Raises:
            DecodingError: the text is not the JSON of a key.
        """
        return decode_json(text, SpaceKey)

    def dump(self) -> str:
        return msgspec.json.encode(self, order="deterministic").decode()

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.dump().encode()).digest()


class VectorCache:
    """The cache in a folder, for one session.

    A damaged file is moved aside, and an empty one is begun; any other failure switches the cache off. Both are
    reported in ``notes`` and never raised.

    Args:
        folder: the cache's folder.
        max_bytes: largest size of the file; beyond it, the least recently used vectors are removed.
        since: unix seconds; older vectors are not read, but replaced.
    """

    def __init__(self, folder: Path, *, max_bytes: int = DEFAULT_MAX_BYTES, since: float = 0.0) -> None:
        self.file, self.max_bytes, self.since = VectorFile(folder), max_bytes, since
        self.notes: list[str] = []
        self._works = True
        self._replaced = False

    def spaces(
        self, model: str, fingerprint: str, facts: ModelFacts, libraries: Mapping[str, str]
    ) -> dict[Role, Space]:
        """Return the spaces of a loaded model, one for each role."""
        return {
            role: Space(
                self,
                model,
                SpaceKey(
                    fingerprint=fingerprint,
                    role=role,
                    prompt=facts.prompts.get(role, ""),
                    max_tokens=facts.max_tokens,
                    dtype=facts.dtype,
                    device=facts.device.partition(":")[0],
                    attention=facts.attention,
                    pooling=facts.pooling,
                    backend=facts.backend,
                    libraries=dict(libraries),
                ),
            )
            for role in get_args(Role)
        }

    def attempt(self, work: Callable[[], T], otherwise: T) -> T:
        """Run work on the file and return its result.

        Work that failed on a damaged file is done again on a new one. ``otherwise`` is returned where that fails too,
        and where the cache is off.
        """
        for _ in range(2):
            if not self._works:
                break
            try:
                return work()
            except (sqlite3.Error, OSError) as error:
                self._recover(error)
        return otherwise

    def _recover(self, error: Exception) -> None:
        # The low byte of an extended result code is the primary code (sqlite.org/rescode.html).
        damaged = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF in DAMAGED
        if damaged and not self._replaced:
            try:
                aside = self.file.move_aside()
            except OSError as move_error:
                error = move_error
            else:
                self._replaced = True
                self.notes.append(f"embedding cache: {error}; the file is now {aside}, and a new one was begun")
                return
        self._works = False
        self.close()
        self.notes.append(f"embedding cache: off for this session: {self.file.folder}: {error}")

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with suppress(sqlite3.Error):  # committed transactions are safe
            self.file.close()


class Space:
    """Cache of one model's vectors for one role, as the encode loop reads and writes it."""

    def __init__(self, cache: VectorCache, model: str, key: SpaceKey) -> None:
        self._cache, self._model, self._key = cache, model, key
        self._digest = key.digest

    def read(self, texts: Sequence[str]) -> CachedVectors:
        """Return the vectors of distinct texts that are stored: float32, bit for bit as the model gave them."""
        positions = {text_digest(text): position for position, text in enumerate(texts)}
        return self._cache.attempt(lambda: self._read(positions), CachedVectors(None, range(len(texts))))

    def _read(self, positions: Mapping[bytes, int]) -> CachedVectors:
        missing, stale = dict.fromkeys(range(len(positions))), list[int]()
        vectors: Vectors | None = None
        own_tokens = tokens = full = damaged = 0
        old = time.time() - FRESH_SECONDS
        for stored in self._cache.file.lookup(self._digest, list(positions)):
            position = positions.get(stored.row.text)
            # A row for a text that was not looked up, or a second row for the same text, is damage as well.
            if position is None or position not in missing or not stored.sound:
                damaged += 1
                continue
            if stored.made < self._cache.since:
                continue
            vector = np.frombuffer(stored.row.vector, "<f4")
            if vectors is None:
                vectors = np.empty((len(positions), len(vector)), np.float32)
            vectors[position] = vector
            del missing[position]
            own_tokens += stored.row.own_tokens
            tokens += stored.row.tokens
            full += bool(self._key.max_tokens) and stored.row.tokens >= (self._key.max_tokens or 0)
            if stored.used < old:
                stale.append(stored.number)
        if damaged:
            self._cache.notes.append(f"embedding cache: damaged vectors found, encoded again: {damaged:,}")
        if stale:
            self._cache.attempt(lambda: self._cache.file.touch(stale), None)
        return CachedVectors(vectors, list(missing), own_tokens, tokens, full)

    def write(self, texts: Sequence[str], prepared: Sequence[PreparedText], vectors: Vectors) -> None:
        """Store a batch, in one transaction."""
        rows = [
            VectorRow(text_digest(text), tokens.own_tokens, tokens.length, np.asarray(vector, "<f4").tobytes())
            for text, tokens, vector in zip(texts, prepared, vectors, strict=True)
        ]
        file, bound = self._cache.file, self._cache.max_bytes
        self._cache.attempt(lambda: file.insert(self._digest, self._model, self._key.dump(), rows, bound), None)

    def remove(self, texts: Sequence[str]) -> None:
        """Remove the vectors of these texts, which turned out to be wrong."""
        file, digests = self._cache.file, [text_digest(text) for text in texts]
        self._cache.attempt(lambda: file.remove_texts(self._digest, digests), None)


def text_digest(text: str) -> bytes:
    """Return 128 bits that identify a text (BLAKE2b, so that nobody can construct two texts that share them)."""
    # A text may hold half of a surrogate pair (from JSON), which strict UTF-8 cannot encode.
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
