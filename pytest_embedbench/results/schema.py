"""What a result file holds: MTEB's own fields at the top, everything else below ``embedbench``.

``mteb.TaskResult`` reads the file as one of its own; ``embedbench.schema_version`` changes when a field's meaning does.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pytest_embedbench.datasets.types import DatasetFacts, Finding
from pytest_embedbench.evaluate.environment import Environment
from pytest_embedbench.load.statistics import ProfileResult
from pytest_embedbench.models.protocol import ModelFacts
from pytest_embedbench.models.spec import ModelSpec

SCHEMA_VERSION = 1
MTEB_VERSION = "2.0.0"
"""The version of MTEB whose result format this is; its loader asks for one."""


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Which model was measured: ``fingerprint`` is the sha256 of its files, ``spec`` what was asked for."""

    name: str
    alias: str
    revision: str
    fingerprint: str
    spec: ModelSpec
    facts: ModelFacts = ModelFacts()


class DatasetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Which data it was measured on; ``queries`` counts those that enter the means."""

    name: str
    split: str
    fingerprint: str
    documents: int
    unique_texts: int
    queries: int
    queries_in_file: int
    facts: DatasetFacts = DatasetFacts()
    findings: list[Finding] = []


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Files beside the result that its numbers can be recomputed from."""

    run: str = ""
    run_sha256: str = ""
    per_query: str = ""
    samples: dict[str, dict[str, str]] = {}
    """profile -> side -> CSV of raw latency samples."""


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """Everything beyond MTEB's fields. Times in seconds, memory in bytes."""

    schema_version: int = SCHEMA_VERSION
    key: str = ""
    """sha256 of everything that decides the ranking; equal keys mean that a run can be reused."""
    model: ModelRecord
    dataset: DatasetRecord
    environment: Environment | None = None
    measured_on: str = ""
    """The day of the evaluation, ISO 8601, UTC."""
    means: dict[str, float] = {}
    depth: int = 0
    effort: dict[str, float] = {}
    load_seconds: float | None = None
    peak_memory_bytes: dict[str, int] = {}
    profiles: dict[str, ProfileResult] = {}
    evidence: Evidence = Evidence()


class PairResult(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one dataset, as stored in ``<org>__<model>/<revision>/<dataset>.json``."""

    dataset_revision: str
    task_name: str
    mteb_version: str = MTEB_VERSION
    scores: dict[str, list[dict[str, Any]]] = {}
    evaluation_time: float | None = None
    kg_co2_emissions: float | None = None
    embedbench: Details
