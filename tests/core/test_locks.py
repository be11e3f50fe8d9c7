"""Locks of files: who waits says so, and for how long."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.core import waits
from pytest_embedbench.core.locks import (
    MAX_AGE_SECONDS,
    LockError,
    LockTimeoutError,
    file_locked,
    machine_locked,
    remove_old_locks,
)
from pytest_embedbench.core.waits import ANNOUNCER

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the lines that are shown, also those of short waits."""
    monkeypatch.setattr(waits, "SHORTEST_SHOWN_SECONDS", 0.0)
    return []


def test_a_free_lock_is_taken_without_a_word(tmp_path: Path, lines: list[str]) -> None:
    with ANNOUNCER.heard_by(lines.append), file_locked(tmp_path / "lock", "somebody"):
        pass
    assert lines == []


def test_a_wait_is_shown_until_the_lock_is_free(tmp_path: Path, lines: list[str]) -> None:
    taken, free = threading.Event(), threading.Event()

    def hold() -> None:
        with file_locked(tmp_path / "lock", "nobody"):
            taken.set()
            free.wait(60)

    def heard(line: str) -> None:
        lines.append(line)
        free.set()

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(60)
    with ANNOUNCER.heard_by(heard), file_locked(tmp_path / "lock", "somebody"):
        pass
    holder.join()
    assert lines[0].startswith("waiting for somebody, ")
    assert lines[0].endswith(" s")
    assert lines[-1] == "", "the line is taken away"


def test_a_wait_may_have_an_end(tmp_path: Path) -> None:
    with (
        file_locked(tmp_path / "lock", "nobody"),
        pytest.raises(LockTimeoutError),
        file_locked(tmp_path / "lock", "somebody", seconds=0.0),
    ):
        pytest.fail("two have the lock")


def test_no_file_is_left(tmp_path: Path) -> None:
    with file_locked(tmp_path / "lock", "nobody"):
        assert (tmp_path / "lock").exists()
    with (
        file_locked(tmp_path / "lock", "nobody", shared=True),
        file_locked(tmp_path / "lock", "nobody", shared=True, seconds=0.0),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_removed_files_never_let_two_in(tmp_path: Path) -> None:
    """Each thread opens the file anew, as processes do, and the file is removed after each use."""
    inside, most, rounds = 0, 0, 60
    counter = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(rounds):
            with file_locked(tmp_path / "lock", "another thread"):
                with counter:
                    inside += 1
                    most = max(most, inside)
                with counter:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, inside) == (1, 0)


def test_a_killed_process_leaves_a_file_that_can_be_locked(tmp_path: Path) -> None:
    (tmp_path / "lock").touch(mode=0o444)
    with file_locked(tmp_path / "lock", "nobody", seconds=0.0):
        pass


def test_old_files_that_nobody_holds_are_removed(tmp_path: Path) -> None:
    names = ["embedbench-old.lock", "embedbench-held.room", "embedbench-young.gate", "other-old.lock"]
    for name in names:
        (tmp_path / name).touch()
    for name in names:
        if "young" not in name:
            past = time.time() - MAX_AGE_SECONDS - 10
            os.utime(tmp_path / name, (past, past))
    with file_locked(tmp_path / "embedbench-held.room", "nobody", shared=True):
        remove_old_locks(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])
    remove_old_locks(tmp_path / "nowhere")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can act for another user")
def test_a_lock_file_of_another_user_can_be_held(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    lock = tmp_path / "lock"
    lock.touch(mode=0o644)
    os.chown(lock, 65534, 65534)
    with file_locked(lock, "nobody", seconds=0.0):
        pass


def test_a_lock_file_can_be_opened_by_all_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with file_locked(tmp_path / "lock", "nobody"):
            assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_a_lock_that_cannot_be_opened_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "embedbench-mine.lock"
    file.symlink_to(file)  # to root no file is forbidden
    with pytest.raises(LockError) as raised, machine_locked("mine.lock", "nobody", folder=tmp_path):
        pass
    assert raised.value.where == str(file)
    assert raised.value.problem.startswith("cannot be locked: ")
    assert "TMPDIR" in raised.value.fix


def test_an_error_of_the_locked_work_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="of the work"), machine_locked("mine.lock", "nobody", folder=tmp_path):
        raise OSError("of the work")
    assert not list(tmp_path.iterdir())
