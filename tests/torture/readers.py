"""Every reader of files and answers, with good files to grow bad ones from."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pytest_embedbench.rating.judgments import Judgment

Files = dict[str, bytes]


@dataclass(frozen=True)
class FuzzedReader:
    """A reader under test.

    ``files`` writes nothing: it returns good content by relative path. ``changed`` names those that are mutated, one at
    a time. ``read`` reads what lies in a folder; it may return anything, or raise an error of the package.
    """

    name: str
    files: Callable[[], Files]
    read: Callable[[Path], object]
    changed: tuple[str, ...]


SUITE = b"""
[embedbench]
models = ["mini", "bm25", "mini@dim=8"]
datasets = ["facts", "set@test"]
device = "cpu"
dtype = "fp32"

[models.mini]
path = "."
query_prompt = "query: "
max_seq_length = 128
release_date = "2024-01-02"

[models.served]
kind = "endpoint"
url = "http://localhost:1/v1"
model = "m"
batch_texts = 8
timeout = 3.5

[datasets.facts]
path = "."
description = "Facts"
languages = ["eng-Latn"]

[datasets.set]
path = "."

[[checks]]
model = "mini*"
dataset = "facts"
quality = ["ndcg@10 >= 0.31", "recall@100 > 0.5"]
profile = "b1 c16"
budget = ["query p50 <= 160 ms", "corpus throughput >= 100 texts/s", "query max rate >= 5 /s at p99 <= 500 ms"]

[regression]
baseline = "baseline.json"
max_drop = 0.01
"""

CORPUS = b"".join(
    b'{"_id": "d%d", "title": "Title %d", "text": "Some text about thing %d", "metadata": {"n": %d}}\n' % (n, n, n, n)
    for n in range(5)
)
QUERIES = b"".join(b'{"_id": "q%d", "text": "thing %d"}\n' % (n, n) for n in range(3))
QRELS = b"query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td1\t2\nq2\td2\t1\nq0\td3\t0\n"
README = b"""---
language: en
configs:
- config_name: default
  data_files:
  - split: test
    path: qrels/test.tsv
- config_name: corpus
  data_files: corpus.jsonl
- config_name: queries
  data_files:
    queries: queries.jsonl
---
# Data
"""
RUN = b"".join(b"q%d Q0 d%d %d %.3f tag\n" % (q, d, d + 1, 1 - d / 7) for q in range(3) for d in range(5))
MTEB = (
    b'{"dataset_revision": "abc", "task_name": "SciFact", "mteb_version": "1.38.0", "evaluation_time": 3.5, '
    b'"kg_co2_emissions": null, "scores": {"test": [{"ndcg_at_10": 0.64541, "map_at_10": 0.6, "mrr_at_10": 0.61, '
    b'"recall_at_10": 0.78, "precision_at_10": 0.08, "main_score": 0.64541, "hf_subset": "default", '
    b'"languages": ["eng-Latn"]}]}}'
)
MTEB_OLD = (
    b'{"mteb_dataset_name": "SciFact", "mteb_version": "1.0.0", "test": {"evaluation_time": 1.0, '
    b'"ndcg_at_10": 0.6, "map_at_10": 0.5}}'
)
MTEB_ROWS = b'[{"model": "org/m", "task": "SciFact", "split": "test", "subset": "default", "ndcg_at_10": 0.6}]'
MODEL_META = b'{"name": "org/m", "revision": "abc", "n_parameters": 22000000, "embed_dim": 384, "max_tokens": 512}'
ANSWER = (
    b'{"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}, '
    b'{"object": "embedding", "index": 1, "embedding": [0.3, 0.4]}], "usage": {"prompt_tokens": 8, "total_tokens": 8}}'
)
CHAT = (
    b'{"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": '
    b'"{\\"reason\\": \\"r\\", \\"verdict\\": \\"first\\"}"}, "finish_reason": "stop"}], '
    b'"usage": {"prompt_tokens": 8, "completion_tokens": 9, "total_tokens": 17}}'
)


def _beir() -> Files:
    return {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/test.tsv": QRELS, "README.md": README}


def _packed() -> Files:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _beir().items():
            archive.writestr(name, content)
    return {
        "data.zip": target.getvalue(),
        "corpus.jsonl.gz": gzip.compress(CORPUS),
        "queries.jsonl": QUERIES,
        "qrels/test.tsv": QRELS,
    }


def _tables() -> Files:
    rows = [(f"question {n}", f"answer {n}", f"wrong {n}") for n in range(4)]
    csv = "query,positive,negative\n" + "".join(f'{q},"{p}",{n}\n' for q, p, n in rows)
    lines = b"".join(msgspec.json.encode({"query": q, "positive": p, "negative_1": n}) + b"\n" for q, p, n in rows)
    return {
        "t.csv": csv.encode(),
        "t.tsv": csv.replace(",", "\t").encode(),
        "t.jsonl": lines,
        "t.parquet": _parquet(rows),
    }


def _parquet(rows: list[tuple[str, str, str]]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    target = io.BytesIO()
    columns = list(zip(*rows, strict=True))
    parquet.write_table(pa.table({"query": columns[0], "positive": columns[1], "negative": columns[2]}), target)
    return target.getvalue()


def _results() -> Files:
    from pytest_embedbench.results.store import dump_per_query
    from tests.results.conftest import full_result

    scores = {"ndcg@10": {"q0": 0.75, "q1": 0.25}, "recall@1": {"q0": 1.0, "q1": 0.0}}
    details = full_result().embedbench
    evidence = msgspec.structs.replace(
        details.evidence, per_query="facts.per-query.jsonl", run_sha256=hashlib.sha256(RUN).hexdigest()
    )
    result = msgspec.structs.replace(full_result(), embedbench=msgspec.structs.replace(details, evidence=evidence))
    probe = {"probe": "finite", "key": "k", "asked_at": 1.0, "outcome": {"status": "passed", "measured": "0"}}
    return {
        "org__model/r1/facts.json": msgspec.json.encode(result),
        "org__model/r1/facts.per-query.jsonl": dump_per_query(scores).encode(),
        "org__model/r1/facts.run.trec": RUN,
        "org__model/r1/q.csv": b"sent_s,latency_ms,queue_ms\n0,1,\n0.1,2,\n0.2,4,\n",
        "org__model/r1/c.csv": b"sent_s,latency_ms,queue_ms\n0,1,\n0.1,2,\n0.2,4,\n",
        "org__model/r1/conformance.jsonl": msgspec.json.encode(probe) + b"\n",
    }


def _baseline() -> Files:
    from pytest_embedbench.results.baseline import Baseline, BaselineEntry, Fingerprints, QueryRecord, dump_baseline

    entry = BaselineEntry(
        model="m",
        dataset="d",
        name="org/m",
        measured_on="2026-01-02",
        fingerprints=Fingerprints(model="f", dataset="g"),
        environment={"dtype": "fp32"},
        metrics=["ndcg@10"],
        means={"ndcg@10": 0.5},
        queries={"q1": QueryRecord([0.25], "d1", "d2", 2), "q2": QueryRecord([0.75], "d1", "d1", 1)},
    )
    return {"baseline.json": dump_baseline(Baseline(pairs=[entry])).encode()}


def _judgments() -> Files:
    rows = [
        Judgment(
            query_id=f"q{n}",
            model_a="a",
            model_b="b",
            outcome="a" if n % 2 else "b",
            judge="j",
            dataset="d",
            values=(0.5, 0.25),
            top_a=("d1", "d2"),
        )
        for n in range(4)
    ]
    lines = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    csv = "dataset,query_id,model_a,model_b,outcome,judge\n" + "".join(f"d,q{n},a,b,tie,j\n" for n in range(4))
    return {"j.jsonl": lines, "j.csv": csv.encode()}


def _card() -> Files:
    return {"card.md": (Path(__file__).parents[1] / "reports" / "cards" / "page.md").read_bytes()}


def _read_suite(folder: Path) -> object:
    from pytest_embedbench.suite.model_names import Overrides
    from pytest_embedbench.suite.plan import read_suite

    return read_suite(folder / "embedbench.toml", Overrides(folder=folder))


def _read_dataset(folder: Path, path: str = ".") -> object:
    from pytest_embedbench.datasets.load import check_dataset, load_dataset
    from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset

    spec = DatasetSpec(path=str(folder / path))
    check_dataset(spec)
    return load_dataset(NamedDataset(alias="data", spec=spec))


def _read_tables(folder: Path) -> object:
    """Read the one table that was changed: the others are not there."""
    (table,) = folder.glob("t.*")
    return _read_dataset(folder, table.name)


def _read_packed(folder: Path) -> object:
    return _read_dataset(folder, "data.zip") if (folder / "data.zip").exists() else _read_dataset(folder)


def _read_results(folder: Path) -> object:
    from pytest_embedbench.core.measures import MAIN_MEASURE
    from pytest_embedbench.plausibility.check import check_result, check_rows
    from pytest_embedbench.plausibility.sources import read_rows
    from pytest_embedbench.rating.judges.entries import read_entries
    from pytest_embedbench.reports.cards.write import write_cards
    from pytest_embedbench.results.conformance import read_probes
    from pytest_embedbench.results.matching import read_side
    from pytest_embedbench.results.store import Store

    stored = list(Store(folder).results())
    for path, result in stored:
        Store(folder).load_run(path, result)
        check_result(result, str(path))
        check_rows(read_rows(path))
        read_probes(path.parent / "conformance.jsonl")
    write_cards(stored, folder / "cards")
    read_side(str(folder), "here")
    read_entries([folder])
    return MAIN_MEASURE


def _read_baseline(folder: Path) -> object:
    from pytest_embedbench.results.baseline import changes
    from pytest_embedbench.results.baseline_source import BaselineSource

    baseline = BaselineSource("baseline.json", folder, "--embed-baseline").read()
    return [(changes(entry, entry), [entry.values(metric) for metric in entry.metrics]) for entry in baseline.pairs]


def _read_run(folder: Path) -> object:
    from pytest_embedbench.core.measures import DEFAULT_MEASURES
    from pytest_embedbench.results.external_runs import compare_with_data, read_external, score_external

    (path,) = folder.glob("run.*")
    run = read_external(path).run
    dataset = _read_dataset(folder)
    compare_with_data(run, dataset, DEFAULT_MEASURES)  # type: ignore[arg-type]
    return score_external(run, dataset, DEFAULT_MEASURES)  # type: ignore[arg-type]


def _read_judgments(folder: Path) -> object:
    from pytest_embedbench.rating.files import read_judgments

    return read_judgments(sorted(folder.glob("j.*")))


def _read_page(folder: Path) -> object:
    from pytest_embedbench.plausibility.check import check_rows
    from pytest_embedbench.plausibility.sources import read_rows

    return check_rows(read_rows(folder / "card.md"))


def _read_mteb(folder: Path) -> object:
    from pytest_embedbench.cli.import_mteb import read
    from pytest_embedbench.plausibility.check import check_rows
    from pytest_embedbench.plausibility.sources import read_rows
    from pytest_embedbench.results.mteb import to_result

    files = sorted(path for path in folder.rglob("*.json") if path.name != "model_meta.json")
    for path in files:
        check_rows(read_rows(path))
    entries, _ = read([folder])
    return [to_result(entry, path, model="org/m") for path, entry in entries]


def _read_answer(folder: Path) -> object:
    from pytest_embedbench.remote.answers import HttpAnswer, decode_answer, server_message
    from pytest_embedbench.remote.embeddings import Embeddings, server_times
    from pytest_embedbench.remote.secret import Secret

    content = (folder / "answer.json").read_bytes()
    answer = HttpAnswer(200, {"content-type": "application/json"}, content)
    server_message(answer, Secret("sk-secret"))
    header = content[:200].decode("latin-1")
    server_times({"server-timing": header, "x-inference-time": header})
    return decode_answer("http://h/v1", answer, Embeddings, Secret("sk-secret")).vectors(2)


def _read_chat(folder: Path) -> object:
    from pytest_embedbench.rating.judges.prompt import read_verdict

    return read_verdict((folder / "chat.txt").read_text("utf-8", "replace"))


def _one_of(files: Callable[[], Files], name: str) -> Callable[[], Files]:
    return lambda: {name: files()[name]}


def _rest(files: Callable[[], Files], without: str) -> Callable[[], Files]:
    return lambda: {name: content for name, content in files().items() if name != without}


READERS = (
    FuzzedReader(
        "suite",
        lambda: {"embedbench.toml": SUITE, "config.json": b'{"model_type": "bert"}'} | _beir(),
        _read_suite,
        ("embedbench.toml",),
    ),
    FuzzedReader("dataset", _beir, _read_dataset, ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "README.md")),
    FuzzedReader("archive", _one_of(_packed, "data.zip"), _read_packed, ("data.zip",)),
    FuzzedReader("packed", _rest(_packed, "data.zip"), _read_packed, ("corpus.jsonl.gz",)),
    *(
        FuzzedReader(f"table.{suffix}", _one_of(_tables, f"t.{suffix}"), _read_tables, (f"t.{suffix}",))
        for suffix in ("csv", "tsv", "jsonl", "parquet")
    ),
    FuzzedReader("results", _results, _read_results, tuple(_results())),
    FuzzedReader("baseline", _baseline, _read_baseline, ("baseline.json",)),
    FuzzedReader("run", lambda: _beir() | {"run.trec": RUN}, _read_run, ("run.trec",)),
    FuzzedReader("run.gz", lambda: _beir() | {"run.gz": gzip.compress(RUN)}, _read_run, ("run.gz",)),
    FuzzedReader("judgments.jsonl", _one_of(_judgments, "j.jsonl"), _read_judgments, ("j.jsonl",)),
    FuzzedReader("judgments.csv", _one_of(_judgments, "j.csv"), _read_judgments, ("j.csv",)),
    FuzzedReader("card", _card, _read_page, ("card.md",)),
    FuzzedReader(
        "mteb",
        lambda: {"org__m/abc/SciFact.json": MTEB, "org__m/abc/model_meta.json": MODEL_META},
        _read_mteb,
        ("org__m/abc/SciFact.json", "org__m/abc/model_meta.json"),
    ),
    FuzzedReader("mteb.old", lambda: {"SciFact.json": MTEB_OLD}, _read_mteb, ("SciFact.json",)),
    FuzzedReader("mteb.rows", lambda: {"rows.json": MTEB_ROWS}, _read_mteb, ("rows.json",)),
    FuzzedReader("answer", lambda: {"answer.json": ANSWER}, _read_answer, ("answer.json",)),
    FuzzedReader("verdict", lambda: {"chat.txt": b'{"reason": "r", "verdict": "first"}'}, _read_chat, ("chat.txt",)),
)
"""A new reader of files is one more entry."""
