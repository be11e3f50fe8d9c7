"""Small worlds to make leaderboards of: results with their evidence on disk, judgments, texts."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from pytest_embedbench.core.runs import Run
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.load.statistics import ProfileResult, summarize
from pytest_embedbench.machine.environment import Environment
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.rating.judgments import Judgment, Preference
from pytest_embedbench.rating.rate import rate
from pytest_embedbench.rating.ratings import Rating, Ratings
from pytest_embedbench.results.schema import DatasetRecord, Details, Evidence, ModelRecord, PairResult
from pytest_embedbench.results.store import Store

Stored = tuple[Path, PairResult]
HARDWARE = "NVIDIA L4"
ENVIRONMENT = Environment(
    hardware=HARDWARE,
    cpu="Some CPU",
    cores=4,
    memory_bytes=2**34,
    driver="CUDA 12.8",
    python="3.12.1",
    system="Linux-6.1",
    libraries={"torch": "2.13.0"},
)


class MakeResult(Protocol):
    """The ``make_result`` fixture: store a result and what belongs beside it."""

    def __call__(
        self,
        model: str,
        dataset: str,
        values: Mapping[str, float] | None = ...,
        *,
        p50: float | None = ...,
        hardware: str = ...,
        tops: Mapping[str, str] | None = ...,
        revision: str = ...,
        measured_on: str = ...,
        data: str = ...,
        **spec: Any,
    ) -> Stored: ...


@pytest.fixture
def make_result(tmp_path: Path) -> MakeResult:
    """Return a function that stores a result below ``tmp_path / "results"``; ``values`` None is an unjudged one."""
    return result_maker(tmp_path / "results")


def result_maker(root: Path) -> MakeResult:
    store = Store(root)

    def make(
        model: str,
        dataset: str,
        values: Mapping[str, float] | None = None,
        *,
        p50: float | None = None,
        hardware: str = HARDWARE,
        tops: Mapping[str, str] | None = None,
        revision: str = "r1",
        measured_on: str = "2026-01-02",
        data: str = "data",
        **spec: Any,
    ) -> Stored:
        record = ModelRecord(
            name=f"org/{model}", alias=model, revision=revision, fingerprint=revision, spec=ModelSpec(**spec)
        )
        path = store.root / model.replace("/", "_") / revision / f"{dataset}.json"
        tops = tops or dict.fromkeys(values or (), f"doc-of-{model}")
        scores = {"ndcg@10": dict(values)} if values else {}
        run = Run({query: [(doc, 1.0), ("other", 0.5)] for query, doc in tops.items()})
        mean = sum(values.values()) / len(values) if values else 0.0
        side = p50 and summarize([p50] * 36, batch=1, own_tokens=180, tokens=252, seconds=1.0, distinct_texts=36)
        result = PairResult(
            dataset_revision="x",
            task_name=dataset,
            embedbench=Details(
                model=record,
                dataset=DatasetRecord(
                    name=dataset,
                    split="test",
                    fingerprint=data,
                    documents=30,
                    unique_texts=30,
                    queries=len(values or ()),
                    queries_in_file=len(tops),
                ),
                environment=ENVIRONMENT,
                measured_on=measured_on,
                means={"ndcg@5": mean, "ndcg@10": mean, "recall@5": mean, "recall@10": mean} if values else {},
                profiles=(
                    {"b1 c4": ProfileResult(shape="b1 c4", hardware=hardware, query=side, corpus=side)} if side else {}
                ),
                evidence=Evidence(**store.save_ranking(path, run, scores, model)),  # type: ignore[arg-type]
            ),
        )
        store.save(path, result)
        return path, result

    return make


def judged(a: str, b: str, outcome: Preference, query: str = "q1", dataset: str = "d", **rest: Any) -> Judgment:
    return Judgment(dataset=dataset, query_id=query, model_a=a, model_b=b, outcome=outcome, **rest)


@pytest.fixture(name="judged")
def judged_fixture() -> Callable[..., Judgment]:
    """Return a short way to write a judgment."""
    return judged


@pytest.fixture
def rated() -> Callable[..., Ratings]:
    """Return a function that makes ratings of given Elos, each with an interval of 20 and a record."""

    def make(**elos: float) -> Ratings:
        ordered = sorted(elos, key=lambda name: -elos[name])
        return Ratings(
            overall=[
                Rating(
                    model=name,
                    elo=elos[name],
                    lo=elos[name] - 10,
                    hi=elos[name] + 10,
                    rank_lo=place,
                    rank_hi=place,
                    wins=6 - place,
                    losses=place,
                    ties=1,
                )
                for place, name in enumerate(ordered, 1)
            ]
        )

    return make


class World(NamedTuple):
    """All sources of a leaderboard."""

    results: list[Stored]
    ratings: Ratings
    judgments: list[Judgment]
    texts: dict[str, Dataset]


Worlds = Callable[..., World]


@pytest.fixture(scope="session")
def make_world(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    """Return a function that makes a world of so many models, datasets and queries; its last dataset is unjudged."""

    def make(models: int, datasets: int, queries: int, names: tuple[str, ...] = (), text: str = "") -> World:
        rng = random.Random(7)
        make_result = result_maker(tmp_path_factory.mktemp("world"))
        called = [*names, *(f"model-{number}" for number in range(len(names), models))]
        collections = [f"collection-{number}" for number in range(datasets)]
        asked = [f"q{number}" for number in range(queries)]
        results, values = [], {}
        for skill, model in enumerate(called):
            for number, dataset in enumerate(collections):
                last = number == datasets - 1 and datasets > 1
                scored = {query: round(min(1.0, rng.random() * (0.6 + 0.05 * skill)), 3) for query in asked}
                values[model, dataset] = scored
                results.append(
                    make_result(
                        model,
                        dataset,
                        None if last else scored,
                        p50=None if skill == 1 else 4.0 * (skill + 1) + rng.random(),
                        tops={query: f"doc-{rng.randrange(30)}" for query in asked},
                        provider="" if skill == 1 else "Provider",
                        licence="apache-2.0" if skill % 2 else "",
                        price_per_million_tokens=[None, 0.02, 0.13, 0.0][skill % 4],
                        release_date="2025-06-06",
                        description=text or "A model for tests, with a description of a sentence or two. It is short.",
                    )
                )
        judgments = [
            judged(
                a,
                b,
                "tie" if abs(difference := values[a, d][q] - values[b, d][q]) < 0.1 else "a" if difference > 0 else "b",
                q,
                d,
                judge="qrels ndcg@10 margin 0.1",
                values=(values[a, d][q], values[b, d][q]),
            )
            for a, b in combinations(called, 2)
            for d in collections[:-1] or collections
            for q in asked
        ]
        documents = [f"doc-{number}" for number in range(30)]
        texts = {
            dataset: Dataset(
                name=dataset,
                split="test",
                doc_ids=documents,
                doc_texts=[text or f"This is what {doc} says of its subject, at some length." for doc in documents],
                query_ids=asked,
                query_texts=[text or f"what is known about subject {query}" for query in asked],
                qrels={},
            )
            for dataset in collections
        }
        return World(results, rate(judgments, rounds=100), judgments, texts)

    return make
