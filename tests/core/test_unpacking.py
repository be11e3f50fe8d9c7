"""Packed content: it reads as it was, and what unpacks to far more than its size is refused before it is in memory."""

from __future__ import annotations

import gzip
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.core.unpacking import SETTING, UNPACK_ERRORS, TooLargeError, check_unpacked, gunzip, open_gzip
from pytest_embedbench.errors import ConfigurationError


@given(st.binary(max_size=2000))
def test_packed_content_reads_as_it_was(content: bytes) -> None:
    packed = gzip.compress(content)
    assert gunzip(packed) == content
    with open_gzip(io.BytesIO(packed), len(packed)) as file:
        assert list(file) == list(io.BytesIO(content))


@given(st.binary(max_size=200), st.integers(0, 100))
def test_damaged_content_is_one_of_the_errors_that_are_listed(content: bytes, cut: int) -> None:
    packed = gzip.compress(content)
    for damaged in (packed[: max(0, len(packed) - 1 - cut)], packed[:10] + content):
        if damaged:
            with pytest.raises(UNPACK_ERRORS):
                gunzip(damaged)


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """Return 1.5 MB that unpack to 1.5 GB in a single line."""
    member = gzip.compress(bytes(50_000_000), 9)
    return member * 30


def test_a_bomb_is_refused_before_it_is_in_memory(bomb: bytes) -> None:
    tracemalloc.start()
    try:
        with open_gzip(io.BytesIO(bomb), len(bomb)) as file, pytest.raises(TooLargeError, match="unpack to more than"):
            file.readline()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 600_000_000


def test_a_setting_changes_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(bytes(3_000_000))
    monkeypatch.setenv(SETTING, "2MB")
    with pytest.raises(TooLargeError, match="unpack to more than 2,000,000"):
        gunzip(packed)
    monkeypatch.setenv(SETTING, "3MB")
    assert len(gunzip(packed)) == 3_000_000
    monkeypatch.setenv(SETTING, "much")
    with pytest.raises(ConfigurationError, match=f"{SETTING}: 'much' is not a size"):
        gunzip(packed)


def test_declared_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    check_unpacked(256_000_000, 1000)
    check_unpacked(10**12, 10**10)
    with pytest.raises(TooLargeError, match="its 1,500,000 bytes unpack to more than 256,000,000"):
        check_unpacked(1_500_000_000, 1_500_000)
    monkeypatch.setenv(SETTING, "2GB")
    check_unpacked(1_500_000_000, 1_500_000)
