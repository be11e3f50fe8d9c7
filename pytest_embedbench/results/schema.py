"""The schema of a result file: MTEB's own fields at the top, everything else below ``embedbench``.

``mteb.TaskResult`` reads the file as one of its own; ``embedbench.schema_version`` changes when a field's meaning does.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pytest_embedbench.core.bounded import Amount, Count
from pytest_embedbench.datasets.types import DatasetFacts, Finding
from pytest_embedbench.load.rates import RateResult
from pytest_embedbench.load.ratio import SlowdownResult
from pytest_embedbench.load.statistics import ProfileResult
from pytest_embedbench.machine.environment import Environment
from pytest_embedbench.models.protocol import ModelFacts
from pytest_embedbench.models.spec import ModelSpec

SCHEMA_VERSION = 1
"""Version of the fields below ``embedbench``."""
UNSEEN = "mteb:"
"""Start of the fingerprint of data that was not available, as for published numbers; others are a sha256."""
MTEB_VERSION = "2.0.0"
"""Version of MTEB whose result format is written; MTEB's loader requires one."""


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The measured model: ``fingerprint`` is the sha256 of its files, ``spec`` the settings that were requested."""

    name: str
    alias: str
    revision: str
    fingerprint: str
    spec: ModelSpec
    facts: ModelFacts = ModelFacts()


class DatasetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a measurement; ``queries`` counts those that enter the means.

    For published numbers the data was not available: then there are no counts, and the fingerprint only names the
    data: ``mteb:TASK/SPLIT@REVISION``.
    """

    name: str
    split: str
    fingerprint: str
    documents: Count | None = None
    unique_texts: Count | None = None
    queries: Count | None = None
    queries_in_file: Count | None = None
    facts: DatasetFacts = DatasetFacts()
    findings: list[Finding] = []


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Files beside the result from which its numbers can be recomputed."""

    run: str = ""
    run_sha256: str = ""
    per_query: str = ""
    samples: dict[str, dict[str, str]] = {}
    """Profile, or key of ``max_rates`` -> side -> CSV file of raw latency samples."""


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """Everything beyond MTEB's fields. Times are in seconds, memory in bytes; docs/results.md explains each field."""

    schema_version: int = SCHEMA_VERSION
    origin: str = ""
    """Source of numbers that were not measured here: ``MTEB 1.38.9``, ``run bm25.trec``; otherwise empty."""
    key: str = ""
    """sha256 of everything that the ranking depends on; a stored run with an equal key can be reused."""
    model: ModelRecord
    dataset: DatasetRecord
    environment: Environment | None = None
    measured_on: str = ""
    """The day of the evaluation, ISO 8601, UTC."""
    means: dict[str, Amount] = {}
    depth: Count = 0
    effort: dict[str, Amount] = {}
    load_seconds: Amount | None = None
    peak_memory_bytes: dict[str, Count] = {}
    profiles: dict[str, ProfileResult] = {}
    slowdowns: dict[str, SlowdownResult] = {}
    """``SHAPE against MODEL`` -> ratio of this model's times to that model's."""
    max_rates: dict[str, RateResult] = {}
    """``b1 query at p99 <= 500 ms`` -> the highest rate at which this holds."""
    evidence: Evidence = Evidence()


class PairResult(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one dataset, as stored in ``<org>__<model>/<revision>/<dataset>.json``."""

    dataset_revision: str
    task_name: str
    mteb_version: str | None = MTEB_VERSION
    scores: dict[str, list[dict[str, Any]]] = {}
    evaluation_time: Amount | None = None
    kg_co2_emissions: Amount | None = None
    embedbench: Details
