"""Damage of the cache's file or its disk: the run goes on, its vectors are right, and one note reports it."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.core.locks import file_locked
from pytest_embedbench.encode import cache_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.encode.conftest import Desk

TEXTS = [f"text number {number}" for number in range(300)]
OFF = re.compile(r"embedding cache: off for this session: \S+/cache: .+")
MOVED = re.compile(r"embedding cache: .+; the file is now \S+/vectors-1-0001\.broken, and a new one was begun")


@pytest.fixture
def filled(desk: Desk) -> Path:
    """Return the file of a cache that has the texts."""
    desk.run(TEXTS, dimensions=64, budget=500)
    return desk.folder / "vectors-1-0001.sqlite"


def encoded(desk: Desk) -> int:
    """Encode all texts and check their vectors; return how many the model had to encode."""
    return len(desk.run(TEXTS, dimensions=64, budget=500)[1].encoded)


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE vectors SET vector = x'00' || substr(vector, 2) WHERE id IN (3, 77)",
        "UPDATE vectors SET vector = substr(vector, 5) WHERE id IN (3, 77)",
        "UPDATE vectors SET vector = NULL WHERE id IN (3, 77)",
        "UPDATE vectors SET vector = 'text' WHERE id IN (3, 77)",
        "UPDATE vectors SET vector = (SELECT vector FROM vectors WHERE id = 5) WHERE id IN (3, 77)",
        "UPDATE vectors SET own_tokens = own_tokens + 1 WHERE id IN (3, 77)",
        "UPDATE vectors SET tokens = 'many' WHERE id IN (3, 77)",
        "UPDATE vectors SET checksum = NULL WHERE id IN (3, 77)",
    ],
)
def test_damaged_rows_are_encoded_again_and_replaced(desk: Desk, filled: Path, statement: str) -> None:
    change(filled, statement)
    assert encoded(desk) == 2
    assert desk.notes == ["embedding cache: damaged vectors found, encoded again: 2"]
    assert encoded(desk) == 0
    assert desk.notes == []


def test_exchanged_rows_are_noticed(desk: Desk, filled: Path) -> None:
    """A row whose fields name another text, or another space."""
    desk.run(TEXTS[:10], name="other", dimensions=64)
    change(filled, "DELETE FROM vectors WHERE space = 1 AND id <= 5")
    change(filled, "UPDATE OR IGNORE vectors SET space = 1 WHERE space = 2")
    change(filled, "UPDATE vectors SET text = randomblob(16) WHERE id = 9")
    assert encoded(desk) >= 6
    assert encoded(desk) == 0


def test_scrambled_times_do_no_harm(desk: Desk, filled: Path) -> None:
    change(filled, "UPDATE vectors SET used = 'long ago', made = NULL")
    assert encoded(desk) == 0
    assert desk.notes == []


@pytest.mark.parametrize("kept", [512, 4096, 16384, 0.3, 0.5, 0.99], ids=str)
def test_a_truncated_file_is_replaced(desk: Desk, filled: Path, kept: float) -> None:
    whole = filled.read_bytes()
    filled.write_bytes(whole[: int(kept if kept >= 1 else kept * len(whole))])
    assert encoded(desk) == len(TEXTS)
    (note,) = desk.notes
    assert MOVED.fullmatch(note)
    assert encoded(desk) == 0
    assert desk.notes == []
    assert desk.session().file.path.name == "vectors-1-0002.sqlite"
    assert filled.with_suffix(".broken").is_file()


@pytest.mark.parametrize("content", [b"", b"S"])
def test_an_empty_file_is_a_cache_that_knows_nothing(desk: Desk, filled: Path, content: bytes) -> None:
    filled.write_bytes(content)
    assert encoded(desk) == len(TEXTS)
    assert desk.notes == []
    assert encoded(desk) == 0


def test_a_file_of_something_else_is_moved_aside_whole(desk: Desk) -> None:
    desk.folder.mkdir()
    (desk.folder / "vectors-1-0001.sqlite").write_text("a diary\n" * 99, "utf-8")
    assert encoded(desk) == len(TEXTS)
    assert encoded(desk) == 0
    assert (desk.folder / "vectors-1-0001.broken").read_text("utf-8") == "a diary\n" * 99


def test_a_database_of_something_else_is_left_alone(desk: Desk) -> None:
    desk.folder.mkdir()
    path = desk.folder / "vectors-1-0001.sqlite"
    change(path, "CREATE TABLE vectors (used TEXT, x, y)")
    for _ in range(2):
        assert encoded(desk) == len(TEXTS)
        (note,) = desk.notes
        assert OFF.fullmatch(note)


def test_flipped_bytes_anywhere(desk: Desk, filled: Path) -> None:
    """Forty damaged copies of the file: no error, right vectors, and a cache that works again at the end."""
    whole = filled.read_bytes()
    outcomes = set()
    for seed in range(40):
        rng = random.Random(seed)
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 10, 300))):
            damaged[rng.randrange(0 if seed % 2 else 16384, len(damaged))] ^= 1 << rng.randrange(8)
        shutil.rmtree(desk.folder)
        desk.folder.mkdir()
        filled.write_bytes(damaged)
        before = encoded(desk)
        outcomes.add(min(before, 1) + (before == len(TEXTS)))
        assert len(desk.notes) <= 2
        if before and not any(map(OFF.fullmatch, desk.notes)):
            encoded(desk)  # what cannot be told when reading may show when writing
            assert encoded(desk) == 0 or any(map(OFF.fullmatch, desk.notes))
    assert outcomes >= {1, 2}, "some lost a part, some all"


def test_a_cache_that_stays_broken_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_file.VectorFile, "insert", _malformed)
    assert encoded(desk) == len(TEXTS)
    assert len(desk.notes) == 2
    assert MOVED.fullmatch(desk.notes[0])
    assert OFF.fullmatch(desk.notes[1])


def _malformed(*_: object) -> None:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    raise error


# Disks and other processes


def test_a_full_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_file, "SETUP", cache_file.SETUP + "PRAGMA max_page_count = 8;")
    assert encoded(desk) == len(TEXTS)
    (note,) = desk.notes
    assert OFF.fullmatch(note)
    assert "full" in note
    kept = len(TEXTS) - encoded(desk)
    assert 0 < kept < len(TEXTS), "what fitted is used"


def test_a_folder_that_cannot_be_made(desk: Desk) -> None:
    desk.folder.write_text("a file", "utf-8")
    assert encoded(desk) == len(TEXTS)
    (note,) = desk.notes
    assert OFF.fullmatch(note)


def test_a_file_that_cannot_be_written(desk: Desk, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write any file, so SQLite itself is opened read-only."""
    monkeypatch.setattr(cache_file, "SETUP", "PRAGMA query_only = 1;")
    assert encoded(desk) == 0, "reading still works"
    desk.run(["new", *TEXTS[:5]], dimensions=64)
    (note,) = desk.notes
    assert OFF.fullmatch(note)
    assert "readonly" in note


def test_a_file_that_another_process_holds_too_long(desk: Desk, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_file, "BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(filled, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert encoded(desk) == 0, "a writer stops no reader"
        desk.run(["new"])
    (note,) = desk.notes
    assert OFF.fullmatch(note)
    assert "locked" in note


def test_a_session_that_still_has_the_old_file_open_harms_no_new_one(desk: Desk, filled: Path) -> None:
    old, new = desk.session(), desk.session()
    desk.run(["old one"], old)
    new.file.lookup(b"", [])
    assert next(new.file.lookup(b"", [b""]), None) is None
    new.file.move_aside()
    desk.run(["new one"], new)
    desk.run(["old two"], old)
    old.close()
    desk.run(["new two"], new)
    new.close()
    assert old.notes == new.notes == []
    assert desk.run(["new one", "new two"])[1].encoded == []
    names = {path.name for path in desk.folder.iterdir()} - {".gitignore", "vectors-1.lock"}
    assert names >= {"vectors-1-0001.broken", "vectors-1-0002.sqlite"}
    assert "vectors-1-0001.sqlite" not in names


def test_of_two_that_find_the_damage_only_one_replaces_the_file(desk: Desk, filled: Path) -> None:
    first, second = desk.session(), desk.session()
    for session in (first, second):
        list(session.file.lookup(b"", [b""]))
    first.file.move_aside()
    desk.run(["new"], first)
    second.file.move_aside()
    assert second.file.path.name == "vectors-1-0002.sqlite"
    assert desk.run(["new"], second)[1].encoded == []


def test_a_lock_that_another_process_keeps_switches_the_cache_off(
    desk: Desk, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_file, "BUSY_SECONDS", 0.0)
    with file_locked(filled.with_name("vectors-1.lock"), "nobody"):
        assert encoded(desk) == len(TEXTS)
    assert OFF.fullmatch(desk.notes[0])
    assert encoded(desk) == 0
