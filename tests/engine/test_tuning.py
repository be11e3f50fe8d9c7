"""The file of what was found out about a machine: shared by processes, never in the way."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.engine.dtype_choice import DtypeChoice, DtypeTrial
from pytest_embedbench.engine.tuning import TUNING_FILE, Tuning

if TYPE_CHECKING:
    from pathlib import Path

CHOICE = DtypeChoice(
    model="mine",
    dataset="facts",
    dtype="bf16",
    reference="fp32",
    trials={
        "fp32": DtypeTrial(tokens_per_second=1.0, cosine=1.0),
        "bf16": DtypeTrial(tokens_per_second=2.0, cosine=0.9999),
    },
    texts=7,
)


def test_what_is_kept_is_there_for_the_next_one(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    Tuning(folder).keep_batch_tokens("a", 1024)
    Tuning(folder).keep_dtype("b", CHOICE)
    Tuning(folder).keep_batch_tokens("c", 2048)
    found = Tuning(folder)
    assert (found.batch_tokens("a"), found.batch_tokens("c"), found.batch_tokens("b")) == (1024, 2048, None)
    assert (found.dtype("b"), found.dtype("a")) == (CHOICE, None)
    assert found.dtypes == [CHOICE]
    assert (folder / ".gitignore").read_text(encoding="utf-8").endswith("*\n")


def test_what_is_not_to_be_remembered_is_written_all_the_same(tmp_path: Path) -> None:
    Tuning(tmp_path).keep_batch_tokens("a", 1024)
    fresh = Tuning(tmp_path, remembered=False)
    fresh.keep_dtype("b", CHOICE)
    assert (fresh.batch_tokens("a"), fresh.dtype("b"), fresh.dtypes) == (None, None, [])
    assert (Tuning(tmp_path).batch_tokens("a"), Tuning(tmp_path).dtype("b")) == (1024, CHOICE)


def test_without_a_folder_nothing_is_kept() -> None:
    tuning = Tuning(None)
    tuning.keep_batch_tokens("a", 1)
    tuning.keep_dtype("b", CHOICE)
    assert (tuning.batch_tokens("a"), tuning.dtype("b")) == (None, None)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"batch_tokens": {"a": "many"}}', b"[]"])
def test_a_damaged_file_counts_as_empty_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / TUNING_FILE).write_bytes(content)
    tuning = Tuning(tmp_path)
    assert tuning.batch_tokens("a") is None
    tuning.keep_batch_tokens("a", 512)
    assert tuning.batch_tokens("a") == 512


def test_a_folder_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    tuning = Tuning(tmp_path / "file" / "below")
    tuning.keep_batch_tokens("a", 512)
    assert tuning.batch_tokens("a") is None


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    def write(number: int) -> None:
        Tuning(tmp_path).keep_batch_tokens(str(number), number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [Tuning(tmp_path).batch_tokens(str(number)) for number in range(1, 9)] == list(range(1, 9))
