"""A result that has something in every field."""

from __future__ import annotations

import pytest

from pytest_embedbench.datasets.types import DatasetFacts, Finding
from pytest_embedbench.load.quantiles import Interval
from pytest_embedbench.load.rates import MaxRate, Probe, RateResult
from pytest_embedbench.load.statistics import ProfileResult, summarize
from pytest_embedbench.machine.environment import describe
from pytest_embedbench.models.protocol import ModelFacts
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.results.schema import DatasetRecord, Details, Evidence, ModelRecord, PairResult


@pytest.fixture
def result() -> PairResult:
    """Return a full result."""
    side = summarize([1.0, 2.0, 4.0] * 3, batch=2, own_tokens=180, tokens=216, seconds=0.5, distinct_texts=18)
    return PairResult(
        dataset_revision="abc",
        task_name="Facts",
        scores={"test": [{"ndcg_at_10": 0.5, "main_score": 0.5, "hf_subset": "default", "languages": ["eng-Latn"]}]},
        evaluation_time=1.5,
        embedbench=Details(
            key="k",
            model=ModelRecord(
                name="org/model",
                alias="model",
                revision="r1",
                fingerprint="f",
                spec=ModelSpec(path="/models/model", query_prompt="query: ", aliases=("m",)),
                facts=ModelFacts(architecture="bert", dimensions=3, prompts={"query": "query: "}),
            ),
            dataset=DatasetRecord(
                name="facts",
                split="test",
                fingerprint="d",
                documents=6,
                unique_texts=5,
                queries=4,
                queries_in_file=5,
                facts=DatasetFacts(domain="general", languages=["eng-Latn"]),
                findings=[Finding(code="c", message="m", count=2, first="é\n")],
            ),
            environment=describe("cpu"),
            measured_on="2026-01-02",
            means={"ndcg@10": 0.5},
            depth=100,
            effort={"corpus_seconds": 0.25},
            load_seconds=0.1,
            peak_memory_bytes={"process": 10**9},
            profiles={"b2 c1": ProfileResult(shape="b2 c1", hardware="CPU", query=side, corpus=side, note="n")},
            max_rates={
                "b2 query at p99 <= 5 ms": RateResult(
                    side="query",
                    batch=2,
                    distinct_texts=18,
                    hardware="CPU",
                    found=MaxRate(
                        limit_ms=5.0,
                        rate=3.0,
                        refuted=None,
                        ended="time",
                        probes=[
                            Probe(rate=3.0, requests=368, holds=True, p99_ms=4.0, p99_interval_ms=Interval(3.0, 5.0))
                        ],
                    ),
                )
            },
            evidence=Evidence(run="facts.run.trec", samples={"b2 c1": {"query": "q.csv", "corpus": "c.csv"}}),
        ),
    )
