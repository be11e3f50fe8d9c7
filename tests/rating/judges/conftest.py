"""Stored results to judge: small data, and models that rank the relevant document where a test says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from pytest_embedbench.core.measures import Measure, parse_measure
from pytest_embedbench.core.runs import Run
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.evaluate.metrics import means, score
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.results.schema import DatasetRecord, Details, Evidence, ModelRecord, PairResult
from pytest_embedbench.results.store import Store

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Dataset
    from tests.conftest import MakeBeir

MEASURES = [parse_measure("ndcg@10"), parse_measure("mrr@10")]
FILLERS = 12


class Lab:
    """A folder with data and results. Query ``q3`` asks for ``word3``, which stands in document ``d3`` alone."""

    def __init__(self, folder: Path, make_beir: MakeBeir) -> None:
        self.folder, self._make_beir = folder, make_beir
        self.results = folder / "results"

    def data(self, name: str = "facts", *, queries: int = 6, judged: bool = True, text: str = "all about") -> Path:
        """Write a dataset; its folder."""
        docs = [{"_id": f"d{n}", "title": f"Title {n}", "text": f"{text} word{n} today"} for n in range(queries)]
        docs += [{"_id": f"f{n}", "text": f"filler number {n}"} for n in range(FILLERS)]
        asked = [{"_id": f"q{n}", "text": f"where is word{n}"} for n in range(queries)]
        qrels = "query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{n}\t1\n" for n in range(queries))
        return self._make_beir(name, docs=docs, queries=asked, qrels=qrels if judged else None)

    def dataset(self, folder: Path, name: str = "") -> Dataset:
        return load_dataset(NamedDataset(alias=name or folder.name, spec=DatasetSpec(path=str(folder))))

    def evaluate(
        self,
        alias: str,
        rank: int | None,
        data: Path,
        *,
        name: str = "",
        results: str = "results",
        revision: str = "r1",
        measures: list[Measure] = MEASURES,
        empty: bool = False,
    ) -> Path:
        """Store a result of a model that finds the relevant document at ``rank`` (None: never); the result's file."""
        dataset = self.dataset(data, name)
        rankings = {}
        for query in dataset.ranked_queries:
            ids = [f"f{n}" for n in range(FILLERS)]
            if empty:
                ids = []
            elif rank is not None:
                ids.insert(rank - 1, query.replace("q", "d"))
            rankings[query] = [(doc, 1.0 - place / 100) for place, doc in enumerate(ids)]
        run = Run(rankings)
        scores = score(run, dataset.qrels, dataset.judged_queries, measures)
        store = Store(self.folder / results)
        record = ModelRecord(
            name=f"org/{alias}", alias=alias, revision=revision, fingerprint=f"weights of {alias}", spec=ModelSpec()
        )
        path = store.path(record, dataset.name)
        details = Details(
            model=record,
            dataset=DatasetRecord(
                name=dataset.name,
                split=dataset.split,
                fingerprint=dataset.fingerprint,
                documents=len(dataset.doc_ids),
                unique_texts=dataset.unique_texts,
                queries=len(dataset.judged_queries),
                queries_in_file=len(dataset.query_ids),
            ),
            means=means(scores),
            evidence=Evidence(**store.save_ranking(path, run, scores, record.name)),  # type: ignore[arg-type]
        )
        store.save(path, PairResult(dataset_revision="x", task_name=dataset.name, embedbench=details))
        return path

    def change(self, path: Path, **fields: object) -> None:
        """Change fields of ``embedbench`` in a stored result, e.g. ``model={"alias": "x"}``."""
        store = Store(path.parent)
        content = msgspec.json.decode(path.read_bytes())
        for part, values in fields.items():
            if isinstance(values, dict):
                content["embedbench"][part].update(values)
            else:
                content["embedbench"][part] = values
        path.write_bytes(msgspec.json.encode(content))
        assert store.load(path)


@pytest.fixture
def lab(tmp_path: Path, make_beir: MakeBeir) -> Lab:
    """Return an empty lab."""
    return Lab(tmp_path, make_beir)
