"""Every reader of files and answers, with good files to grow bad ones from."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_embedbench.errors import EmbedbenchError
from pytest_embedbench.rating.judgments import Judgment

if TYPE_CHECKING:
    from pytest_embedbench.encode.cache import Space, VectorCache

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


SETTINGS = {
    "modules.json": b'[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}, '
    b'{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}, '
    b'{"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}, '
    b'{"idx": 3, "name": "3", "path": "3_Normalize", "type": "sentence_transformers.models.Normalize"}]',
    "config.json": b'{"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 8, "num_hidden_layers": 1, '
    b'"num_attention_heads": 2, "max_position_embeddings": 64, "torch_dtype": "float32", "vocab_size": 9}',
    "config_sentence_transformers.json": b'{"__version__": {"sentence_transformers": "5.0.0"}, "prompts": '
    b'{"query": "q: ", "document": ""}, "default_prompt_name": null, "similarity_fn_name": "cosine"}',
    "sentence_bert_config.json": b'{"max_seq_length": 64, "do_lower_case": false}',
    "tokenizer_config.json": b'{"model_max_length": 64, "tokenizer_class": "BertTokenizer", "do_lower_case": true}',
    "1_Pooling/config.json": b'{"word_embedding_dimension": 8, "pooling_mode_mean_tokens": true}',
    "2_Dense/config.json": b'{"in_features": 8, "out_features": 4, "bias": true, '
    b'"activation_function": "torch.nn.modules.activation.Tanh"}',
}


def _checkpoint() -> Files:
    import torch
    from safetensors.torch import save
    from tokenizers import Tokenizer, models

    words = {word: number for number, word in enumerate(("[UNK]", "a", "b", "c"))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))  # noqa: S106 - a word
    dense = {"linear.weight": torch.zeros(4, 8), "linear.bias": torch.zeros(4)}
    return SETTINGS | {"tokenizer.json": tokenizer.to_str().encode(), "2_Dense/model.safetensors": save(dense)}


def _read_checkpoint(folder: Path) -> object:
    """Read all that is read of a checkpoint before sentence-transformers gets it."""
    from pytest_embedbench.models.checkpoint import checkpoint_token_counter, declared_similarity
    from pytest_embedbench.models.libraries import checkpoint_software
    from pytest_embedbench.models.local.adapters import adapter_base
    from pytest_embedbench.models.local.plain_checkpoint import plain_checkpoint
    from pytest_embedbench.models.local.refusals import load_error, refuse_pickles
    from pytest_embedbench.models.references import module_code, needed_repositories
    from pytest_embedbench.models.source import checkpoint_dtype, fingerprint_checkpoint
    from pytest_embedbench.models.spec import ModelSpec, NamedModel

    model = NamedModel(alias="m", spec=ModelSpec(path=str(folder)))
    for step in (
        lambda: plain_checkpoint(folder),
        lambda: checkpoint_token_counter(model).lengths(["a b"], "query"),
        lambda: declared_similarity(folder),
        lambda: checkpoint_dtype(folder),
        lambda: fingerprint_checkpoint(folder),
        lambda: refuse_pickles(model, folder),
        lambda: load_error(model, folder, ValueError("x")),
        lambda: (module_code(folder), needed_repositories(folder, ["*.json"], code=True)),
        lambda: checkpoint_software(model.spec, folder),
        lambda: adapter_base(model, folder),
    ):
        with suppress(EmbedbenchError):
            step()
    return model


def _adapter() -> Files:
    return {
        "adapter_config.json": b'{"base_model_name_or_path": "org/base", "peft_type": "LORA", "revision": null, "r": 8, '
        b'"target_modules": ["query", "value"], "lora_alpha": 16, "task_type": "FEATURE_EXTRACTION"}',
    }


def _kept() -> Files:
    """Return the files of the cache's folder that hold what was found about this machine."""
    return {
        "tuning-1.json": b'{"batch_tokens": {"k": 4096}, "dtypes": {"k": {"model": "m", "dataset": "d", "dtype": "bf16", '
        b'"reference": "fp32", "trials": {"fp32": {"tokens_per_second": 9.5, "cosine": 1.0}, '
        b'"bf16": {"tokens_per_second": 9.5, "cosine": 0.999}}, "texts": 9}}}',
        "ready-1/m.json": b'{"origin": "o", "sizes": {"model_type": "bert", "hidden_size": 8, "num_attention_heads": 2, '
        b'"num_hidden_layers": 1, "vocab_size": 9, "max_position_embeddings": 64, "layer_norm_eps": 1e-12, '
        b'"pad_token_id": 0}, "tokenizer": {"rust": "{}", "max_length": 64, "padding_side": "right", '
        b'"truncation_side": "right", "special_ids": [0, 1]}}',
    }


def _read_kept(folder: Path) -> object:
    from pytest_embedbench.engine.tuning import Tuning

    tuning = Tuning(folder)
    found = tuning.batch_tokens("k"), [str(choice) for choice in tuning.dtypes], tuning.ready("m")
    assert found[0] is None or found[0] >= 1
    tuning.keep_batch_tokens("k", 8)
    assert tuning.batch_tokens("k") == 8
    return found


TEXTS = [f"text {number}" for number in range(40)]


def _space(folder: Path) -> tuple[VectorCache, Space]:
    from pytest_embedbench.encode.cache import Space, SpaceKey, VectorCache

    key = SpaceKey(
        fingerprint="f", role="query", prompt="", max_tokens=64, dtype="fp32", device="cpu", attention="sdpa",
        pooling="mean", backend="", libraries={},
    )  # fmt: skip
    cache = VectorCache(folder)
    return cache, Space(cache, "m", key)


def _vectors() -> Files:
    import tempfile

    import numpy as np

    from pytest_embedbench.models.protocol import PreparedText

    with tempfile.TemporaryDirectory() as name:
        cache, space = _space(Path(name))
        tokens = [PreparedText({}, 3, 1)] * len(TEXTS)
        space.write(TEXTS, tokens, np.ones((len(TEXTS), 64), np.float32))
        cache.close()
        return {"vectors-1-0001.sqlite": (Path(name) / "vectors-1-0001.sqlite").read_bytes()}


def _read_vectors(folder: Path) -> object:
    """Whatever the file holds, the cache gives right vectors or none, and works on."""
    import numpy as np
    from click.testing import CliRunner

    from pytest_embedbench.cli import main

    ran = CliRunner().invoke(main, ["cache", "--folder", str(folder)])
    if ran.exception and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    cache, space = _space(folder)
    found = space.read(TEXTS)
    missing = set(found.missing)
    assert found.vectors is None or all(
        np.array_equal(vector, np.ones(64)) for row, vector in enumerate(found.vectors) if row not in missing
    )
    cache.close()
    return cache.notes


TEMPLATE = (
    b"# {{ card.title }}\n{% for part in card.parts if part %}- {{ part | string | upper }}\n{% else %}none\n{% endfor %}"
    b"{% include 'model_card.md.j2' %}\n{% for n in range(3) %}{{ n }}{{ 'x' * n }}{% endfor %}\n"
)


def _read_template(folder: Path) -> object:
    from pytest_embedbench.reports.cards.build import build_card
    from pytest_embedbench.reports.cards.rendering import fill
    from tests.results.conftest import full_result

    return fill(_CARD.setdefault("card", build_card([full_result()])), folder / "card.j2")


_CARD: dict[str, Any] = {}


def _texts_of_options() -> Files:
    texts = (
        "ndcg@10 >= 0.31", "query p50 <= 160 ms", "max rate >= 5 /s at p99 <= 500 ms", "b1 c16", "b1 r50", "5 min",
        "5GB", "ndcg@10", "org/m@dim=128@int8", "http://localhost:1/v1#m", "irds:beir/x", "set@test", "NAME=$VALUE",
    )  # fmt: skip
    return {"texts.txt": "\n".join(texts).encode()}


def _read_option_texts(folder: Path) -> object:
    """Give each line to every parser of texts; these raise ParseError, which callers turn into an error with a place."""
    from pytest_embedbench.core.measures import parse_measure
    from pytest_embedbench.core.parsing import ParseError
    from pytest_embedbench.core.thresholds import parse_budget, parse_duration, parse_quality, parse_size
    from pytest_embedbench.load.shape import parse_shape
    from pytest_embedbench.models.variants import Variant, parse_variant
    from pytest_embedbench.remote.settings import EndpointSettings
    from pytest_embedbench.suite.endpoints import named_endpoint

    parsers: tuple[Callable[[str], object], ...] = (
        parse_measure, parse_budget, parse_duration, parse_quality, parse_size, parse_shape,
        lambda text: parse_variant(text.split("@")[1:], Variant()),
        lambda text: named_endpoint(text, "--embed-model") if "://" in text else None,
        lambda text: EndpointSettings(url="http://h/v1", headers={text: text}, query={text: text}),
    )  # fmt: skip
    for line in (folder / "texts.txt").read_text("utf-8", "surrogateescape").split("\n"):
        for parse in parsers:
            with suppress(ParseError, EmbedbenchError):
                parse(line)
    return None


PYPROJECT = (
    b'[project]\nname = "x"\n[tool.embedbench]\nmodels = ["bm25"]\nprofiles = ["b1 c1"]\nbatch_tokens = 9\n'
    b'[tool.embedbench.define.models.m]\npath = "."\n[[tool.embedbench.checks]]\nquality = ["ndcg@10 >= 0.3"]\n'
)


def _read_pyproject(folder: Path) -> object:
    from pytest_embedbench.suite.find import is_suite
    from pytest_embedbench.suite.model_names import Overrides
    from pytest_embedbench.suite.plan import read_suite

    is_suite(folder / "pyproject.toml")
    return read_suite(folder / "pyproject.toml", Overrides(folder=folder))


HEADERS = (
    b"retry-after: 20\nretry-after-ms: 1500\nx-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 6m0s\n"
    b'server-timing: queue;dur=2.5, model;dur="7";desc="x"\nopenai-processing-ms: 7\nx-total-time: 12\n'
    b"content-encoding: gzip\nx-usage-source: estimated\n"
)


def _read_headers(folder: Path) -> object:
    from pytest_embedbench.remote.bodies import unpacked_body
    from pytest_embedbench.remote.embeddings import server_times
    from pytest_embedbench.remote.usage import server_count
    from pytest_embedbench.remote.waiting_time import asked_wait

    lines = (folder / "headers.txt").read_text("latin-1").split("\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    wait = asked_wait(headers, lines[0])
    assert wait is None or 0 <= wait < float("inf")
    assert all(0 <= time < float("inf") for time in server_times(headers).values())
    server_count({"prompt_tokens": 3}, headers)
    return unpacked_body(gzip.compress(ANSWER), headers, 10**6, succeeded=True)


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
    FuzzedReader(
        "checkpoint", _checkpoint, _read_checkpoint, (*SETTINGS, "tokenizer.json", "2_Dense/model.safetensors")
    ),
    FuzzedReader("adapter", _adapter, _read_checkpoint, ("adapter_config.json",)),
    FuzzedReader("kept", _kept, _read_kept, ("tuning-1.json", "ready-1/m.json")),
    FuzzedReader("vectors", _vectors, _read_vectors, ("vectors-1-0001.sqlite",)),
    FuzzedReader("template", lambda: {"card.j2": TEMPLATE}, _read_template, ("card.j2",)),
    FuzzedReader("options", _texts_of_options, _read_option_texts, ("texts.txt",)),
    FuzzedReader(
        "pyproject",
        lambda: {"pyproject.toml": PYPROJECT, "config.json": b'{"model_type": "bert"}'} | _beir(),
        _read_pyproject,
        ("pyproject.toml",),
    ),
    FuzzedReader("headers", lambda: {"headers.txt": HEADERS}, _read_headers, ("headers.txt",)),
    FuzzedReader("verdict", lambda: {"chat.txt": b'{"reason": "r", "verdict": "first"}'}, _read_chat, ("chat.txt",)),
)
"""A new reader of files is one more entry."""
