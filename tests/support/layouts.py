"""One collection in several layouts, which tests compare with its BEIR folder."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

NFCORPUS_CARD = """---
language: en
configs:
- config_name: default
  data_files:
  - split: train
    path: qrels/train.jsonl
  - split: test
    path: qrels/test.jsonl
- config_name: corpus
  data_files:
  - split: corpus
    path: corpus.jsonl
- config_name: queries
  data_files:
  - split: queries
    path: queries.jsonl
---

# What MTEB's repositories say of their files
"""

PARQUET_CARD = """---
dataset_info:
- config_name: corpus
  features:
  - name: _id
    dtype: string
configs:
- config_name: corpus
  data_files:
  - split: test
    path: corpus/test-*
- config_name: qrels
  data_files:
  - split: test
    path: qrels/test-*
- config_name: queries
  data_files:
  - split: test
    path: queries/test-*
---
"""


def records(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a .jsonl file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def judgments(folder: Path, split: str = "test") -> list[dict[str, Any]]:
    """Return the judgments of a BEIR folder as MTEB's repositories have them."""
    lines = (folder / "qrels" / f"{split}.tsv").read_text(encoding="utf-8").splitlines()[1:]
    fields = [line.split("\t") for line in lines]
    return [{"query-id": query, "corpus-id": doc, "score": int(score)} for query, doc, score in fields]


def as_jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    names = dict.fromkeys(name for row in rows for name in row if name != "metadata")
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    sink = io.BytesIO()
    parquet.write_table(table, sink)
    return sink.getvalue()


def repository(folder: Path, form: str) -> dict[str, bytes]:
    """Files of a Hub repository with a BEIR folder's data: ``jsonl`` as mteb/nfcorpus has them, ``parquet`` in shards."""
    docs, queries, qrels = records(folder / "corpus.jsonl"), records(folder / "queries.jsonl"), judgments(folder)
    if form == "jsonl":
        return {
            "README.md": NFCORPUS_CARD.encode(),
            "corpus.jsonl": as_jsonl(docs),
            "queries.jsonl": as_jsonl(queries),
            "qrels/test.jsonl": as_jsonl(qrels),
        }
    half = len(docs) // 2
    return {
        "README.md": PARQUET_CARD.encode(),
        "corpus/test-00000-of-00002.parquet": as_parquet(docs[:half]),
        "corpus/test-00001-of-00002.parquet": as_parquet(docs[half:]),
        "queries/test-00000-of-00001.parquet": as_parquet(queries),
        "qrels/test-00000-of-00001.parquet": as_parquet(qrels),
    }


def put(folder: Path, files: dict[str, bytes]) -> Path:
    """Write the files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
