"""Read and write ``conformance.jsonl``: the outcomes of a model's probes, one a line, beside its results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pytest_embedbench.conformance.outcome import ProbeOutcome
from pytest_embedbench.core.bounded import Amount
from pytest_embedbench.core.decoding import DecodingError, decode_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_embedbench.results.store import Store

CONFORMANCE = "conformance.jsonl"
"""File name; not ``.json``, since MTEB takes every such file in a results folder for a task's result."""


class ProbeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One probe's outcome. ``key`` is the sha256 of everything it depends on, ``asked_at`` Unix time in seconds."""

    probe: str
    key: str
    asked_at: Amount
    outcome: ProbeOutcome


def read_probes(path: Path) -> dict[str, ProbeRecord]:
    """Return the stored outcomes by probe; none if the file does not exist or has another format."""
    # An unreadable file is no error: its probes are asked again.
    try:
        lines = path.read_bytes().splitlines()
        records = [decode_json(line, ProbeRecord) for line in lines if line]
    except (OSError, DecodingError):
        return {}
    return {record.probe: record for record in records}


def write_probes(store: Store, path: Path, records: Iterable[ProbeRecord]) -> None:
    """Write the outcomes, whole or not at all.

    Raises:
        ResultError: the file cannot be written; ``where`` names the store's folder.
    """
    store.write(path, "".join(msgspec.json.encode(record).decode() + "\n" for record in records))
