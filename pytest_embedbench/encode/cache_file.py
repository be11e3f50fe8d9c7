"""The cache's file: an SQLite database of vectors that processes share. All failures are raised, none is handled."""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from pytest_embedbench.core.locks import file_locked

STEM = "vectors-1"
"""Name of the file, before its number; the digit is the version of the layout."""

BUSY_SECONDS = 30.0
"""Seconds; how long a process waits while another process writes."""

TEXTS_PER_QUERY = 500
"""Texts that one query looks up; SQLite before 3.32 allows 999 variables in a query."""

ROWS_PER_DELETE = 50
"""Rows that one step removes when the file is too large."""

SHRINK_TO = 0.95
"""Share of the maximal size; a file that is too large shrinks to it, so that the next batches find room."""

FRESH_SECONDS = 3600
"""Seconds; precision of a row's last use. With a finer one, reading would write as much as it reads."""

SETUP = """
PRAGMA synchronous = NORMAL;
PRAGMA journal_size_limit = 67108864;
"""
LAYOUT = """
PRAGMA page_size = 16384;
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE IF NOT EXISTS spaces (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, model TEXT, facts TEXT);
CREATE TABLE IF NOT EXISTS vectors (
    id INTEGER PRIMARY KEY, space INTEGER NOT NULL, text BLOB NOT NULL, own_tokens INTEGER, tokens INTEGER,
    made REAL, used INTEGER, checksum INTEGER, vector BLOB, UNIQUE (space, text)
);
CREATE INDEX IF NOT EXISTS vectors_by_use ON vectors (used);
PRAGMA user_version = 1;
COMMIT;
"""
# Page size and auto_vacuum must be set before the first table and before WAL. Pages of 16 KiB waste least for 384 to
# 1536 dimensions. With WAL readers never wait for a writer, a killed process leaves whole transactions, and a commit
# costs no fsync (a cache may lose the last ones when the machine fails). The version comes last: it marks a finished
# layout.

LOOKUP = (
    "SELECT id, CAST(made AS REAL), CAST(used AS INTEGER), checksum, text, own_tokens, tokens, CAST(vector AS BLOB) "
    "FROM vectors WHERE space = ? AND text IN (%s)"
)
OLDEST = "SELECT id FROM vectors ORDER BY used, id LIMIT ?"


def create_cache_folder(folder: Path) -> None:
    """Create the cache's folder, unless it exists."""
    if not folder.exists():
        # For this user only: vectors reveal something of their texts.
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        (folder / ".gitignore").write_text("# made by pytest-embedbench\n*\n", encoding="utf-8")


class VectorRow(NamedTuple):
    """A text's digest, its tokens (its own, and with prompt and special tokens), and its vector's bytes."""

    text: bytes
    own_tokens: int
    tokens: int
    vector: bytes

    def checksum(self, space: bytes) -> int:
        """Return the CRC-32 over the row's fields and its space."""
        head = repr((space, self.text, self.own_tokens, self.tokens))
        return zlib.crc32(self.vector, zlib.crc32(head.encode()))


class StoredRow(NamedTuple):
    """A row in the file: its id, when it was made and last used (unix seconds), and whether its checksum holds."""

    row: VectorRow
    number: int
    made: float
    used: int
    sound: bool


class SpaceContents(NamedTuple):
    """Contents of one space: texts, bytes of their vectors, last use (unix seconds)."""

    model: str
    facts: str
    texts: int
    size: int
    used: int


class VectorFile:
    """The newest numbered database in a folder, opened when first used.

    A damaged file is never replaced under its own name: another process may still have it open, and SQLite removes the
    write-ahead log of that name when the process closes it.

    All methods raise ``sqlite3.Error`` or ``OSError`` where the file is damaged, locked or read-only, or the disk is
    full.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._db: sqlite3.Connection | None = None
        self._opened: Path | None = None

    @property
    def path(self) -> Path:
        return max(self.folder.glob(f"{STEM}-????.sqlite"), default=self.folder / f"{STEM}-0001.sqlite")

    @property
    def db(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = self._open()
        return self._db

    def _open(self) -> sqlite3.Connection:
        create_cache_folder(self.folder)
        with self._locked():
            self._opened = self.path
            db = sqlite3.connect(self._opened, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                db.text_factory = bytes  # damaged text then raises no error while it is read
                db.executescript(SETUP)
                if db.execute("PRAGMA user_version").fetchone() == (0,):  # new, or the process that made it was killed
                    db.executescript(LAYOUT)
            except BaseException:
                db.close()
                raise
        return db

    def _locked(self) -> AbstractContextManager[None]:
        """Return the lock to hold while the file is made or replaced.

        Without it SQLite would fail instead of waiting where two processes change the journal mode at once.
        """
        return file_locked(self.folder / f"{STEM}.lock", "the embedding cache", seconds=BUSY_SECONDS)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def move_aside(self) -> Path:
        """Move the damaged file aside, begin an empty one, and return the old file's new path."""
        self.close()
        old = self._opened or self.path
        aside = old.with_suffix(".broken")
        with self._locked():
            if self.path == old:  # else another process has moved it already
                # The new file comes first: a process that looks for the newest must not find the damaged one again.
                old.with_stem(f"{STEM}-{int(old.stem[-4:]) + 1:04}").touch()
                for end in ("", "-wal"):
                    with suppress(FileNotFoundError):
                        old.with_name(old.name + end).replace(aside.with_name(aside.name + end))
        return aside

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction; an error undoes all of it."""
        # IMMEDIATE waits for other writers here. A transaction that reads first and writes later may fail instead.
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield self.db
        except BaseException:
            with suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def lookup(self, space: bytes, texts: Sequence[bytes]) -> Iterator[StoredRow]:
        """Yield the stored rows of these digests, in any order."""
        space_row = self.db.execute("SELECT id FROM spaces WHERE key = ?", (space,)).fetchone()
        for start in range(0, len(texts) if space_row else 0, TEXTS_PER_QUERY):
            part = texts[start : start + TEXTS_PER_QUERY]
            query = LOOKUP % ",".join("?" * len(part))
            for number, made, used, checksum, text, own_tokens, tokens, vector in self.db.execute(
                query, (space_row[0], *part)
            ):
                row = VectorRow(text, own_tokens, tokens, vector or b"")
                yield StoredRow(row, number, made or 0.0, used or 0, checksum == row.checksum(space))

    def touch(self, stored: Sequence[int]) -> None:
        """Set the last use of these rows to now."""
        with self._writing() as db:
            now = int(time.time())
            db.executemany("UPDATE vectors SET used = ? WHERE id = ?", ((now, number) for number in stored))

    def insert(self, space: bytes, model: str, facts: str, rows: Sequence[VectorRow], max_bytes: int) -> None:
        """Store rows, then remove old ones so that the file holds at most ``max_bytes``."""
        with self._writing() as db:
            db.execute("INSERT OR IGNORE INTO spaces (key, model, facts) VALUES (?, ?, ?)", (space, model, facts))
            (number,) = db.execute("SELECT id FROM spaces WHERE key = ?", (space,)).fetchone()
            now = time.time()
            db.executemany(
                "INSERT OR REPLACE INTO vectors (space, made, used, checksum, text, own_tokens, tokens, vector) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                ((number, now, int(now), row.checksum(space), *row) for row in rows),
            )
        self.shrink(max_bytes)

    def size(self) -> int:
        """Return the bytes of the file's pages that are in use."""
        pages, free, page = (self._pragma(name) for name in ("page_count", "freelist_count", "page_size"))
        return (pages - free) * page

    def _pragma(self, name: str) -> int:
        return int(self.db.execute(f"PRAGMA {name}").fetchone()[0])

    def shrink(self, max_bytes: int) -> None:
        """Remove the least recently used rows if the file is too large, and a few more, down to ``SHRINK_TO``."""
        if self.size() <= max_bytes:
            return
        with self._writing() as db:
            while self.size() > max_bytes * SHRINK_TO:
                if not db.execute(f"DELETE FROM vectors WHERE id IN ({OLDEST})", (ROWS_PER_DELETE,)).rowcount:  # noqa: S608
                    break
        self._give_back()

    def remove(self, *, unused_since: float | None = None, model: str | None = None) -> None:
        """Remove the rows last used before a time (unix seconds), or of a model, or both; with neither, all rows."""
        with self._writing() as db:
            db.execute(
                "DELETE FROM vectors WHERE (?1 IS NULL OR used < ?1) AND "
                "(?2 IS NULL OR space IN (SELECT id FROM spaces WHERE model = ?2))",
                (unused_since, model),
            )
            db.execute("DELETE FROM spaces WHERE id NOT IN (SELECT DISTINCT space FROM vectors)")
        self._give_back()

    def remove_texts(self, space: bytes, texts: Sequence[bytes]) -> None:
        """Remove the rows of these digests from one space."""
        with self._writing() as db:
            db.executemany(
                "DELETE FROM vectors WHERE text = ? AND space IN (SELECT id FROM spaces WHERE key = ?)",
                ((text, space) for text in texts),
            )
        self._give_back()

    def _give_back(self) -> None:
        """Release freed pages to the file system."""
        self.db.executescript("PRAGMA incremental_vacuum")  # execute() would return one page only

    def remove_broken(self) -> int:
        """Delete damaged files that were moved aside; return the bytes that they took."""
        broken = list(self.folder.glob(f"{STEM}-????.broken*"))
        size = sum(path.stat().st_size for path in broken)
        for path in broken:
            path.unlink(missing_ok=True)
        return size

    def contents(self) -> list[SpaceContents]:
        """Return the contents of each space, the last used first."""
        rows = self.db.execute(
            "SELECT model, facts, count(*), sum(length(vector)), max(used) AS last FROM vectors "
            "JOIN spaces ON spaces.id = space GROUP BY space ORDER BY last DESC, model, space"
        )
        return [SpaceContents(model.decode(), facts.decode(), *numbers) for model, facts, *numbers in rows]
