"""Files are written whole or not at all, and nothing is left of what killed processes began."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_embedbench.core.files import (
    MAX_PART_SECONDS,
    exists,
    is_folder,
    user_path,
    write_atomically,
    write_together,
)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_atomically(path, "one\r\n")
    write_atomically(path, "two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text("utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_old_temporary_files_are_removed_and_young_ones_stay(tmp_path: Path) -> None:
    old, young, other = (tmp_path / name for name in (".embedbench-1.part", ".embedbench-2.part", "mine.part"))
    for file in (old, young, other):
        file.write_text("half", "utf-8")
    write_atomically(tmp_path / "now", "")
    now = (tmp_path / "now").stat().st_mtime
    for file, age in ((old, MAX_PART_SECONDS + 10), (young, MAX_PART_SECONDS - 100), (other, 10**6)):
        os.utime(file, (now - age, now - age))
    write_atomically(tmp_path / "a.txt", "text")
    assert {entry.name for entry in tmp_path.iterdir()} == {young.name, other.name, "a.txt", "now"}


def test_the_longest_name_that_a_file_can_have(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 255)
    write_atomically(path, "text")
    assert path.read_text("utf-8") == "text"


@pytest.mark.parametrize("text", ["a" * 5000, "a\x00b", "~nobody-of-this-name/x", "a/" * 3000, ""])
def test_names_that_no_file_can_have_are_just_not_there(text: str, tmp_path: Path) -> None:
    path = user_path(text, tmp_path)
    assert exists(path) is is_folder(path) is (not text)


def test_links_in_a_circle_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert not exists(user_path("a", tmp_path))
    assert not is_folder(user_path("a/c", tmp_path))


def test_an_interrupt_after_the_renaming_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = os.replace

    def interrupted(source: str, target: Path) -> None:
        rename(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.txt", "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_that_cannot_be_listed_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", forbidden)
    write_atomically(tmp_path / "a.txt", "new")
    monkeypatch.undo()
    assert (tmp_path / "a.txt").read_text("utf-8") == "new"


def test_files_that_belong_together_are_all_written_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_atomically(one, "old")
    synced: list[int] = []

    def full(handle: int) -> None:
        synced.append(handle)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_together({one: "new", two: "new"}, one.unlink)
    monkeypatch.undo()
    assert one.read_text("utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["one"]
    write_together({one: "new", two: "new"}, one.unlink)
    assert {entry.name: entry.read_text("utf-8") for entry in tmp_path.iterdir()} == {"one": "new", "two": "new"}
