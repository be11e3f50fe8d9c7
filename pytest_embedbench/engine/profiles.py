"""Both sides of a pair's model against a baseline model, timed side by side; the pairs go beside the pair's result."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pytest_embedbench.core.files import file_name, write_atomically
from pytest_embedbench.datasets.types import Role
from pytest_embedbench.load.ratio import SideSlowdown, SlowdownResult, dump_pairs
from pytest_embedbench.load.side_by_side import Conditions, compare_side

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Dataset
    from pytest_embedbench.models.protocol import Encoder
    from pytest_embedbench.results.schema import ModelRecord
    from pytest_embedbench.suite.checks import SlowdownCheck


def measure_slowdown(
    models: tuple[Encoder, Encoder],
    dataset: Dataset,
    check: SlowdownCheck,
    against: ModelRecord,
    path: Path,
    conditions: Conditions,
    *,
    hardware: str,
) -> SlowdownResult:
    """Time the model against the baseline (``models``, in this order; ``against`` says what that is) on both sides.

    The pairs of each side are written as CSV beside ``path``, the result of the model's pair.
    """
    sides: dict[str, SideSlowdown] = {}
    for side, texts in (("query", dataset.query_texts), ("corpus", dataset.doc_texts)):
        measured = compare_side(
            models,
            texts,
            "query" if side == "query" else "document",
            check.shape,
            conditions,
        )
        file = path.with_suffix(f".{check.shape.slug}.against-{file_name(against.alias)}.{side}.csv")
        write_atomically(file, dump_pairs(measured.pairs))
        sides[side] = msgspec.structs.replace(measured.statistics, samples=file.name)
    return SlowdownResult(
        shape=str(check.shape),
        against=against.alias,
        against_revision=against.revision,
        against_fingerprint=against.fingerprint,
        hardware=hardware,
        measured_on=datetime.now(UTC).date().isoformat(),
        query=sides["query"],
        corpus=sides["corpus"],
    )


def _side(dataset: Dataset, side: str) -> tuple[Sequence[str], Role]:
    """The texts of one side, and the role in which they are encoded."""
    return (dataset.query_texts, "query") if side == "query" else (dataset.doc_texts, "document")
