"""Zip archives: read where they lie, and refused where a member could leave its folder."""

from __future__ import annotations

import gzip
import stat
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.datasets.load import check_dataset, load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.errors import DatasetError

if TYPE_CHECKING:
    from tests.conftest import MakeBeir


def archive(folder: Path, to: Path, *more: tuple[zipfile.ZipInfo | str, str]) -> Path:
    with zipfile.ZipFile(to, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, f"data/{path.relative_to(folder).as_posix()}")
        for name, content in more:
            file.writestr(name, content)
    return to


def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused(make_beir: MakeBeir, tmp_path: Path) -> None:
    folder = make_beir()
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
            file.write(folder / name, name)
        with file.open("other.jsonl", "w") as member:
            for _ in range(30):
                member.write(bytes(10_000_000))
    with pytest.raises(DatasetError, match="unpack to more than 256,000,000") as caught:
        check_dataset(DatasetSpec(path=str(path)))
    assert "EMBEDBENCH_MAX_UNPACKED" in caught.value.fix


def test_a_packed_corpus_that_unpacks_to_far_more_than_its_size_is_refused(make_beir: MakeBeir) -> None:
    folder = make_beir()
    with gzip.open(folder / "corpus.jsonl.gz", "wb") as file:
        file.write((folder / "corpus.jsonl").read_bytes())
        for _ in range(30):
            file.write(b" " * 10_000_000)
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"corpus\.jsonl\.gz: its .* bytes unpack to more than 256,000,000"):
        load_dataset(NamedDataset(alias="facts", spec=DatasetSpec(path=str(folder))))


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("../outside.txt", "leaves the archive's folder"),
        ("data/../../outside.txt", "leaves the archive's folder"),
        ("/etc/outside.txt", "leaves the archive's folder"),
        ("..\\outside.txt", "leaves the archive's folder"),
        ("C:\\outside.txt", "leaves the archive's folder"),
        (link("data/link"), "is a symbolic link"),
    ],
    ids=str,
)
def test_members_that_leave_their_folder_are_refused(
    make_beir: MakeBeir, tmp_path: Path, member: zipfile.ZipInfo | str, message: str
) -> None:
    path = archive(make_beir(), tmp_path / "bad.zip", (member, "/etc/passwd"))
    for use in (lambda spec: load_dataset(NamedDataset(alias="x", spec=spec)), check_dataset):
        with pytest.raises(DatasetError, match=message) as caught:
            use(DatasetSpec(path=str(path)))
        assert str(caught.value).startswith(f"{path}: its member ")
    assert not (tmp_path.parent / "outside.txt").exists()


def test_nothing_is_unpacked(make_beir: MakeBeir, tmp_path: Path) -> None:
    path = archive(make_beir(), tmp_path / "data.zip")
    before = sorted(tmp_path.rglob("*"))
    assert load_dataset(NamedDataset(alias="x", spec=DatasetSpec(path=str(path)))).doc_ids == ["d1", "d2"]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_mac_s_extra_folder_is_no_second_top(make_beir: MakeBeir, tmp_path: Path) -> None:
    path = archive(make_beir(), tmp_path / "data.zip", ("__MACOSX/._data", "x"), (".DS_Store", "x"))
    assert load_dataset(NamedDataset(alias="x", spec=DatasetSpec(path=str(path)))).split == "test"


def test_an_encrypted_archive_is_refused(make_beir: MakeBeir, tmp_path: Path) -> None:
    path = archive(make_beir(), tmp_path / "data.zip")
    content = bytearray(path.read_bytes())
    for sign, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = content.find(sign)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(sign, at + 1)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="is encrypted\n  fix: unpack the archive and give the folder"):
        check_dataset(DatasetSpec(path=str(path)))


def test_a_damaged_member_is_named(make_beir: MakeBeir, tmp_path: Path) -> None:
    path = archive(make_beir(docs=[{"_id": "d1", "text": "a peculiar text"}]), tmp_path / "data.zip")
    path.write_bytes(path.read_bytes().replace(b"a peculiar text", b"a particle text"))
    with pytest.raises(DatasetError, match=r"data\.zip/data/corpus\.jsonl: cannot be read: Bad CRC-32"):
        load_dataset(NamedDataset(alias="x", spec=DatasetSpec(path=str(path))))


def test_errors_in_a_member_name_archive_file_and_line(make_beir: MakeBeir, tmp_path: Path) -> None:
    path = archive(make_beir(qrels="query-id\tcorpus-id\tscore\nq1\td1\tgood\n"), tmp_path / "data.zip")
    with pytest.raises(DatasetError, match=r"data\.zip/data/qrels/test\.tsv:2: the grade 'good'"):
        load_dataset(NamedDataset(alias="x", spec=DatasetSpec(path=str(path))))


@pytest.mark.parametrize("content", [None, b"no archive at all"])
def test_what_is_no_archive_is_said(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "data.zip"
    if content:
        path.write_bytes(content)
    message = (
        "cannot be read as a zip archive: " if content else "no such file\n  fix: give a BEIR folder or a .zip of one"
    )
    with pytest.raises(DatasetError, match=message):
        check_dataset(DatasetSpec(path=str(path)))


def test_an_archive_without_a_dataset(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("notes/readme.txt", "x")
        file.writestr("other.txt", "x")
    with pytest.raises(DatasetError, match=r"data\.zip/corpus\.jsonl: no such file\n  fix: a BEIR folder holds"):
        check_dataset(DatasetSpec(path=str(path)))
