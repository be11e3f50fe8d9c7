"""The cache stays within its bound; the longest unused vectors go first. ``embedbench cache`` shows and removes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from pytest_embedbench.cli import main
from pytest_embedbench.core.thresholds import parse_size

if TYPE_CHECKING:
    from tests.encode.conftest import Desk

DAY = 86_400
BOUND = 2_000_000


def texts(name: str, count: int = 100) -> list[str]:
    return [f"{name} {number}" for number in range(count)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list with one number, which serves as the current time."""
    now = [1_800_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


# The bound


def test_what_was_unused_for_longest_goes_first(desk: Desk, clock: list[float]) -> None:
    for name in ("a", "b", "c"):
        desk.run(texts(name), dimensions=1024)
        clock[0] += DAY
    assert desk.run(texts("a"), dimensions=1024)[1].encoded == []
    clock[0] += DAY
    full = desk.session().file.size()
    session = desk.session(max_bytes=full + 100_000)
    desk.run(texts("d"), session, dimensions=1024)
    session.close()
    stored = desk.session()
    assert stored.file.size() <= full + 100_000
    known = {
        name: len(desk.space(stored, fingerprint="org/model").read(texts(name)).missing)
        for name in ("a", "b", "c", "d")
    }
    assert known == {"a": 0, "b": known["b"], "c": 0, "d": 0}, "a is older than b, but was used since"
    assert known["b"] >= 50


def test_the_file_never_outgrows_the_bound(desk: Desk) -> None:
    path = desk.folder / "vectors-1-0001.sqlite"
    for round_ in range(12):
        session = desk.session(max_bytes=BOUND)
        desk.run(texts(f"{round_}", 150), session, dimensions=512)
        assert session.file.size() <= BOUND
        session.close()
        assert path.stat().st_size <= 1.1 * BOUND
    assert desk.run(texts("11", 150), dimensions=512)[1].encoded == []
    assert desk.notes == []


def test_a_bound_below_one_batch_keeps_nothing_and_harms_nothing(desk: Desk) -> None:
    session = desk.session(max_bytes=1)
    desk.run(texts("a"), session)
    assert session.notes == []
    assert session.file.contents() == []


def test_a_smaller_bound_gives_the_disk_its_room_back(desk: Desk) -> None:
    desk.run(texts("a", 1000), dimensions=1024, budget=4000)
    path = desk.folder / "vectors-1-0001.sqlite"
    assert path.stat().st_size > 4_000_000
    session = desk.session(max_bytes=BOUND)
    desk.run(["new"], session, dimensions=1024)
    session.close()
    assert path.stat().st_size <= BOUND


@pytest.mark.parametrize(
    ("text", "size"), [("5GB", 5 * 10**9), ("1.5 GiB", 3 * 2**29), (" 20 MB ", 20_000_000), ("1_000MiB", 1000 * 2**20)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "5", "GB", "-1GB", "0 MB", "5 TB", "5 gb", "many", "nan GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size; write it as '5GB', in MB, GB, MiB, GiB$"):
        parse_size(text)


def test_a_size_beyond_all_disks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'1e999 GB' is too large; write at most 1000000GB"):
        parse_size("1e999 GB")


# embedbench cache


@pytest.fixture
def two_models(desk: Desk, clock: list[float], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Return a cache with an older and a newer model, the default one of this test."""
    monkeypatch.setenv("EMBEDBENCH_CACHE", str(desk.folder))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    desk.run(texts("a", 1500), name="org/old", dimensions=64, budget=4000)
    clock[0] += 10 * DAY
    desk.run(texts("b", 40), name="org/new", dimensions=32)
    clock[0] += DAY
    return desk


def embedbench(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["cache", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def kept(desk: Desk) -> dict[str, int]:
    session = desk.session()
    result = {space.model: space.texts for space in session.file.contents()}
    session.close()
    return result


def test_the_list(two_models: Desk) -> None:
    head, titles, _, *rows = embedbench().splitlines()
    assert head.startswith(f"{two_models.folder}/vectors-1-0001.sqlite: 0.")
    assert head.endswith(" MB")
    assert titles.split() == ["model", "role", "numbers", "texts", "vectors", "last", "used"]
    assert [row.split() for row in rows] == [
        ["org/new", "document", "fp32", "cuda", "40", "0.0", "MB", "2027-01-25", "08:00"],
        ["org/old", "document", "fp32", "cuda", "1,500", "0.4", "MB", "2027-01-15", "08:00"],
    ]


def test_a_folder_without_a_cache(desk: Desk) -> None:
    assert embedbench("--folder", str(desk.folder), code=1) == f"Error: {desk.folder} holds no embedding cache\n"
    assert not desk.folder.exists()


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (("--older-than", "5"), {"org/new": 40}),
        (("--older-than", "0.5"), {}),
        (("--older-than", "12"), {"org/new": 40, "org/old": 1500}),
        (("--model", "org/old"), {"org/new": 40}),
        (("--model", "org/old", "--older-than", "12"), {"org/new": 40, "org/old": 1500}),
        (("--max-size", "1 GB"), {"org/new": 40, "org/old": 1500}),
        (("--all",), {}),
    ],
    ids=" ".join,
)
def test_prune(two_models: Desk, arguments: tuple[str, ...], left: dict[str, int]) -> None:
    output = embedbench("prune", *arguments)
    assert output.startswith(f"{two_models.folder}/vectors-1-0001.sqlite: ")
    assert kept(two_models) == left
    assert output.endswith(" MB left\n")


def test_prune_to_a_size(two_models: Desk) -> None:
    path = two_models.folder / "vectors-1-0001.sqlite"
    assert path.stat().st_size > 400_000
    embedbench("prune", "--max-size", "0.3MB")
    assert path.stat().st_size <= 300_000
    left = kept(two_models)
    assert left.get("org/new") == 40
    assert 0 < left["org/old"] < 1500


def test_prune_removes_what_was_moved_aside(two_models: Desk) -> None:
    session = two_models.session()
    session.file.move_aside()
    session.close()
    two_models.run(["new"])
    broken = two_models.folder / "vectors-1-0001.broken"
    size = broken.stat().st_size
    assert f": {size / 1e6:,.1f} MB removed" in embedbench("prune", "--older-than", "99")
    assert not broken.exists()
    assert kept(two_models) == {"org/model": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "say what to remove: --older-than, --max-size, --model or --all"),
        (("--all", "--model", "org/new"), "--all goes with no other choice"),
        (("--older-than", "-1"), "-1"),
    ],
)
def test_a_wrong_prune(two_models: Desk, arguments: tuple[str, ...], message: str) -> None:
    assert message in embedbench("prune", *arguments, code=2)
    assert kept(two_models) == {"org/new": 40, "org/old": 1500}


def test_errors_are_one_message(two_models: Desk) -> None:
    assert embedbench("prune", "--model", "old", code=1) == "Error: no vectors of 'old'; did you mean 'org/old'?\n"
    assert "'2 apples' is not a size" in embedbench("prune", "--max-size", "2 apples", code=1)
    path = two_models.folder / "vectors-1-0001.sqlite"
    path.write_bytes(b"not a database" * 99)
    for arguments in ((), ("prune", "--all")):
        assert embedbench(*arguments, code=1) == (
            f"Error: {path}: file is not a database\n  fix: delete the file; it holds copies only\n"
        )
