"""A result that has something in every field; an evaluation by BM25, and the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from pytest_embedbench.cli import main
from pytest_embedbench.core.measures import DEFAULT_MEASURES
from pytest_embedbench.datasets.types import DatasetFacts, Finding
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.engine.pair_work import PairWork, WorkSettings
from pytest_embedbench.engine.workbench import Workbench
from pytest_embedbench.load.quantiles import Interval
from pytest_embedbench.load.rates import MaxRate, RateProbe, RateResult
from pytest_embedbench.load.statistics import ProfileResult, summarize
from pytest_embedbench.machine.environment import describe_environment
from pytest_embedbench.models.protocol import ModelFacts
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.results.schema import DatasetRecord, Details, Evidence, ModelRecord, PairResult
from pytest_embedbench.suite.model_names import Overrides
from pytest_embedbench.suite.plan import read_suite

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def result() -> PairResult:
    """Return a full result."""
    return full_result()


def full_result() -> PairResult:
    """Return a result in which every field has a value."""
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
            environment=describe_environment("cpu"),
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
                            RateProbe(
                                rate=3.0, requests=368, holds=True, p99_ms=4.0, p99_interval_ms=Interval(3.0, 5.0)
                            )
                        ],
                    ),
                )
            },
            evidence=Evidence(run="facts.run.trec", samples={"b2 c1": {"query": "q.csv", "corpus": "c.csv"}}),
        ),
    )


def embedbench(*arguments: str | Path) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def evaluate(tmp_path: Path) -> Callable[[str], PairWork]:
    """Return a function that evaluates BM25 on a dataset, into ``results`` below ``tmp_path``."""
    pytest.importorskip("bm25s", reason="needs the extra bm25")

    def run(dataset: str) -> PairWork:
        suite = tmp_path / "embedbench.toml"
        suite.write_text(f'[embedbench]\nmodels = ["bm25"]\ndatasets = ["{dataset}"]\n', encoding="utf-8")
        (pair,) = read_suite(suite, Overrides(folder=tmp_path)).pairs
        bench = Workbench(WorkSettings(results=tmp_path / "results", device="cpu"), SilentProgress())
        return bench.evaluation(pair, DEFAULT_MEASURES)

    return run
