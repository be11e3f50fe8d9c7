"""The store: whole files or none, results that read back, and MTEB's fields where MTEB looks for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.core.files import MAX_NAME_BYTES, distinct_file_name, file_key, file_name, write_atomically
from pytest_embedbench.core.runs import Run
from pytest_embedbench.errors import ResultError
from pytest_embedbench.load.open_loop import OpenSide
from pytest_embedbench.load.samples import Sample
from pytest_embedbench.load.statistics import summarize
from pytest_embedbench.results.schema import MTEB_VERSION, PairResult
from pytest_embedbench.results.store import NO_REVISION, Store, dump_per_query, parse_per_query
from tests.results.conftest import full_result

KEYS = st.text(st.characters(exclude_categories=["Cs"]))


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "result.json"
    write_atomically(path, "old\n")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new\n" * 100_000)
    monkeypatch.undo()
    assert path.read_text("utf-8") == "old\n"
    assert files(tmp_path) == {"result.json"}, "nothing half-written lies beside it"


def test_a_text_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_atomically(path, "old\n")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "begins well " * 10_000 + "\ud800")
    assert path.read_text("utf-8") == "old\n"
    assert files(tmp_path) == {"result.json"}


def test_the_new_file_is_made_in_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[Path] = []
    replace = os.replace

    def note(source: str, target: Path) -> None:
        moved.append(Path(source))
        replace(source, target)

    monkeypatch.setattr(os, "replace", note)
    write_atomically(tmp_path / "deep" / "file", "text\n")
    assert [path.parent for path in moved] == [tmp_path / "deep"], "a move between file systems is a copy"


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    contents = {letter * 200_000 for letter in "abc"}
    write_atomically(path, "a" * 200_000)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for content in contents:
                write_atomically(path, content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [path.read_text("utf-8") for _ in range(200)]
    finally:
        stop.set()
        writer.join()
    assert set(seen) <= contents


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_atomically(path, "old\n")
    code = f"""
import os, signal
from pathlib import Path
from pytest_embedbench.core.files import write_atomically
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
write_atomically(Path({str(path)!r}), "new" * 100_000)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text("utf-8") == "old\n"


def test_what_a_killed_writer_leaves_is_no_result(tmp_path: Path, result: PairResult) -> None:
    store = Store(tmp_path)
    path = store.path(result.embedbench.model, "facts")
    store.save(path, result)
    (path.parent / ".facts.json.x1y2z3.part").write_text('{"half', "utf-8")
    assert [found for found, _ in store.results()] == [path]


def test_a_result_reads_back(tmp_path: Path, result: PairResult) -> None:
    store = Store(tmp_path)
    path = store.path(result.embedbench.model, "facts")
    assert path == tmp_path / "org__model" / "r1" / "facts.json"
    store.save(path, result)
    assert store.load(path) == result
    assert list(store.results()) == [(path, result)]
    assert json.loads((path.parent / "model_meta.json").read_text("utf-8")) == {"name": "org/model", "revision": "r1"}


def test_a_model_without_a_revision_has_mtebs_word_for_it(tmp_path: Path, result: PairResult) -> None:
    model = msgspec.structs.replace(result.embedbench.model, revision="")
    assert Store(tmp_path).path(model, "facts").parent.name == NO_REVISION == "no_revision_available"


def test_equal_results_are_equal_bytes(tmp_path: Path, result: PairResult) -> None:
    store, one, two = Store(tmp_path), tmp_path / "1.json", tmp_path / "2.json"
    store.save(one, result)
    read = store.load(one)
    assert read is not None
    store.save(two, read)
    assert one.read_bytes() == two.read_bytes()


def test_mtebs_fields_stand_where_mteb_looks(tmp_path: Path, result: PairResult) -> None:
    Store(tmp_path).save(tmp_path / "facts.json", result)
    data = json.loads((tmp_path / "facts.json").read_text("utf-8"))
    assert {"task_name", "dataset_revision", "mteb_version", "scores"} < set(data)
    assert {"evaluation_time", "kg_co2_emissions"} < set(data)
    assert data["task_name"] == "Facts"
    assert data["mteb_version"] == MTEB_VERSION
    (scores,) = data["scores"]["test"]
    assert scores["main_score"] == scores["ndcg_at_10"] == 0.5
    assert scores["hf_subset"] == "default"
    assert scores["languages"] == ["eng-Latn"]
    assert data["embedbench"]["schema_version"] == 1


def test_fields_of_a_later_version_do_no_harm(tmp_path: Path, result: PairResult) -> None:
    path = tmp_path / "facts.json"
    Store(tmp_path).save(path, result)
    data = json.loads(path.read_text("utf-8"))
    data["new"] = data["embedbench"]["new"] = 1
    path.write_text(json.dumps(data), "utf-8")
    assert Store(tmp_path).load(path) == result


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"task_name": 1}', b"\xff\xfe", b"null"])
def test_a_file_that_is_no_result_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(content)
    with pytest.raises(ResultError, match=r"facts\.json: not a pytest-embedbench result"):
        Store(tmp_path).load(path)


def test_a_result_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "facts.json").mkdir()
    with pytest.raises(ResultError, match="cannot be read: ") as raised:
        Store(tmp_path).load(tmp_path / "facts.json")
    assert raised.value.where == str(tmp_path / "facts.json")
    assert "--embed-results" in raised.value.fix


def test_no_file_is_no_result(tmp_path: Path) -> None:
    assert Store(tmp_path).load(tmp_path / "facts.json") is None
    assert list(Store(tmp_path / "nowhere").results()) == []


def test_a_run_is_only_loaded_if_it_is_the_one_meant(tmp_path: Path, result: PairResult) -> None:
    store, path = Store(tmp_path), tmp_path / "facts.json"
    run = Run({"q 1": [("d%1", 0.1), ("é", -0.5)]})
    fields = store.save_ranking(path, run, {"ndcg@10": {"q 1": 0.5}}, "org/model")
    evidence = msgspec.structs.replace(result.embedbench.evidence, **fields)
    known = msgspec.structs.replace(result, embedbench=msgspec.structs.replace(result.embedbench, evidence=evidence))
    assert store.load_run(path, known) == run
    assert store.load_run(path, result) is None, "another digest"
    (tmp_path / "facts.run.trec").write_text("q Q0 d 1 0.5 t\n", "utf-8")
    assert store.load_run(path, known) is None, "another content"
    (tmp_path / "facts.run.trec").write_bytes(b"\xff\xfe")
    assert store.load_run(path, known) is None, "not even text"
    (tmp_path / "facts.run.trec").unlink()
    assert store.load_run(path, known) is None, "gone"


def test_a_result_never_stands_beside_the_run_of_another(
    tmp_path: Path, result: PairResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, path = Store(tmp_path), tmp_path / "facts.json"
    run, scores = Run({"q": [("d", 0.1)]}), {"ndcg@10": {"q": 0.5}}
    evidence = msgspec.structs.replace(result.embedbench.evidence, **store.save_ranking(path, run, scores, "org/model"))
    store.save(
        path, msgspec.structs.replace(result, embedbench=msgspec.structs.replace(result.embedbench, evidence=evidence))
    )
    store.save_ranking(path, run, scores, "org/model")
    assert store.load(path), "the same run leaves it as it is"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        store.save_ranking(path, Run({"q": [("e", 0.2)]}), scores, "org/model")
    assert store.load(path) is None, "withdrawn before its run is replaced"


@given(
    st.dictionaries(KEYS, st.floats(0, 1), min_size=1, max_size=5),
    st.lists(st.sampled_from(["ndcg@10", "map@5", "recall@1"]), min_size=1, unique=True),
)
def test_per_query_scores_read_back(values: dict[str, float], measures: list[str]) -> None:
    scores = dict.fromkeys(measures, values)
    assert parse_per_query(dump_per_query(scores).encode()) == scores


def test_samples_are_a_table(tmp_path: Path) -> None:
    samples = [Sample(0.0, 12.34567, 0.25), Sample(0.5, 1.0)]
    name = Store(tmp_path).save_samples(tmp_path / "facts.json", "b1-c4", "query", samples)
    assert name == "facts.b1-c4.query.csv"
    rows = b"sent_s,latency_ms,queue_ms\n0.000000,12.3457,0.2500\n0.500000,1.0000,\n"
    assert (tmp_path / name).read_bytes() == rows


def test_samples_of_a_search_have_their_rate(tmp_path: Path) -> None:
    side = summarize([1.0], batch=1, own_tokens=1, tokens=1, seconds=1.0, distinct_texts=1)
    sides = [
        OpenSide(1234.5678, side, [Sample(0.0, 12.34567, 0.25, 0.125), Sample(0.5, 1.0, None, 0.0)], gave_up=False),
        OpenSide(50.0, side, [Sample(0.25, 2.0, None, 0.00001)], gave_up=True),
    ]
    name = Store(tmp_path).save_rate_samples(tmp_path / "facts.json", "b1.query.max-rate-p99-500ms", sides)
    assert name == "facts.b1.query.max-rate-p99-500ms.csv"
    assert (tmp_path / name).read_text("utf-8").splitlines() == [
        "rate_per_s,sent_s,latency_ms,queue_ms,lag_ms",
        "1234.57,0.000000,12.3457,0.2500,0.1250",
        "1234.57,0.500000,1.0000,,0.0000",
        "50,0.250000,2.0000,,0.0000",
    ]


def test_samples_of_an_open_loop_say_how_late_they_were_sent(tmp_path: Path) -> None:
    samples = [Sample(0.0, 12.5, 0.25, 0.125), Sample(0.5, 1.0, None, 0.0)]
    name = Store(tmp_path).save_samples(tmp_path / "facts.json", "b1-r0.5", "query", samples)
    assert name == "facts.b1-r0.5.query.csv"
    rows = "sent_s,latency_ms,queue_ms,lag_ms\n0.000000,12.5000,0.2500,0.1250\n0.500000,1.0000,,0.0000\n"
    assert (tmp_path / name).read_text("utf-8") == rows


def test_the_lock_lets_one_in(tmp_path: Path) -> None:
    store, path = Store(tmp_path), tmp_path / "facts.json"
    inside: list[str] = []

    def enter(name: str) -> None:
        with store.locked(path):
            inside.append(f"{name} in")
            for _ in range(1000):
                pass
            inside.append(f"{name} out")

    threads = [threading.Thread(target=enter, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.split()[0] for entry in inside[::2]] == [entry.split()[0] for entry in inside[1::2]]


def test_an_unwritable_folder_is_named_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", "utf-8")
    with pytest.raises(ResultError, match=r"taken: cannot write results: .*\n  fix: .*--embed-results"):
        Store(tmp_path / "taken").check_writable()
    Store(tmp_path / "deep" / "er").check_writable()
    assert files(tmp_path) == {"taken"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers__all-MiniLM-L6-v2"),
        ("cranfield@test_1612", "cranfield@test_1612"),
        ("../../etc/passwd", "__..__etc__passwd"),
        ("..", "_"),
        ("a b:c", "a_b_c"),
        ("nf.v2", "nf.v2"),
        ("CON", "CON_"),
        ("aux.v2", "aux_.v2"),
        ("lpt1", "lpt1_"),
        ("console", "console"),
        ("ends...", "ends_"),
        ("model_meta", "model_meta_"),
        ("", "_"),
    ],
)
def test_names_are_one_file_in_their_folder(name: str, expected: str) -> None:
    assert file_name(name) == expected


@given(st.text(), st.sampled_from([0, 1, 50, 300]))
def test_every_name_is_fit_for_a_file(part: str, repeated: int) -> None:
    name = file_name(part * repeated)
    assert name
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert not set(name) & set('<>:"/\\|?*\0 ')
    assert not name.startswith(".")
    assert not name.endswith(".")


def test_names_that_are_too_long_stay_apart() -> None:
    names = {file_name("x" * 200 + end) for end in ("a", "b", "")}
    assert len(names) == 3


@pytest.mark.parametrize(
    ("one", "two"),
    [("org/x", "org__x"), ("set 1", "set_1"), ("Set", "set"), ("stra\u00dfe", "strasse")],
)
def test_names_that_become_one_file_have_one_key(one: str, two: str) -> None:
    assert file_key(one) == file_key(two)
    assert distinct_file_name(one) != distinct_file_name(two)


@pytest.mark.parametrize("change", [("ndcg@10", "ndcg@NaN"), ("0.75", "1e308"), ("0.75", "9" * 400)])
def test_a_result_with_impossible_numbers_is_an_error_that_names_the_file(
    tmp_path: Path, change: tuple[str, str]
) -> None:
    result = full_result()
    means = {"ndcg@10": 0.75}
    text = msgspec.json.encode(
        msgspec.structs.replace(result, embedbench=msgspec.structs.replace(result.embedbench, means=means))
    ).decode()
    path = tmp_path / "result.json"
    path.write_text(text.replace('"means":{"ndcg@10":0.75}', '"means":{"ndcg@10":0.75}'.replace(*change)))
    with pytest.raises(ResultError, match="not a pytest-embedbench result") as caught:
        Store(tmp_path).load(path)
    assert caught.value.where == str(path)
