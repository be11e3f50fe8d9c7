"""Parquet of a kilobyte that stands for gigabytes is refused before it is in memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from pytest_embedbench.core.unpacking import SETTING
from pytest_embedbench.datasets.tables import Column, read_table
from pytest_embedbench.errors import DatasetError

pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
parquet = pytest.importorskip("pyarrow.parquet")

COLUMNS = [Column(("query",)), Column(("positive",)), Column(("score",), required=False), Column(("tags",), False)]
LONG = "x" * 3_000_000


def read(path: Path) -> list[tuple[object, ...]]:
    return [row for _, row in read_table(path, COLUMNS)]


def write(path: Path, columns: dict[str, object], **how: object) -> Path:
    parquet.write_table(pa.table(columns), path, compression="zstd", **how)
    return path


def test_one_long_text_in_many_rows_is_refused(tmp_path: Path) -> None:
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 60_000, pa.int32()), [LONG])
    path = write(tmp_path / "t.parquet", {"query": ["q"] * 60_000, "positive": repeated})
    assert path.stat().st_size < 5_000
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match="bytes unpack to more than 256,000,000") as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    assert SETTING in caught.value.fix
    assert caught.value.where == str(path)


def test_pages_that_unpack_to_gigabytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{number}{LONG}" for number in range(10)]
    path = write(tmp_path / "t.parquet", {"query": ["q"] * 10, "positive": texts}, use_dictionary=False)
    assert len(read(path)) == 10
    monkeypatch.setenv(SETTING, "20MB")
    with pytest.raises(DatasetError, match="unpack to more than 20,000,000"):
        read(path)


def test_columns_of_all_kinds_are_read_as_before(tmp_path: Path) -> None:
    columns = {"query": ["a", None, "a"], "positive": ["b", "c", "d"], "score": [1, None, 3], "tags": [["x"], [], None]}
    path = write(tmp_path / "t.parquet", columns)
    assert read(path) == [("a", "b", 1, ["x"]), (None, "c", None, []), ("a", "d", 3, None)]
