"""Read the evidence of a leaderboard: the files behind its numbers, per-query values, and first documents."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from pytest_embedbench.reports.leaderboard.facts import ResultSource
from pytest_embedbench.reports.leaderboard.selection import MEASURE, Chosen, Measured
from pytest_embedbench.results.store import Store, read_per_query


def list_sources(chosen: Chosen) -> tuple[ResultSource, ...]:
    """Return the files that numbers come from, relative to the folder that holds them all."""
    all_measured = [measured for _, by_dataset in sorted(chosen.items()) for _, measured in sorted(by_dataset.items())]
    root = _common_folder([measured.path for measured in all_measured])
    return tuple(_source(measured, root) for measured in all_measured)


def _common_folder(paths: Sequence[Path]) -> Path:
    """Return the results folder: the folder above ``<model>/<revision>``, also if all results are of one model."""
    return Path(os.path.commonpath([path.absolute().parent.parent.parent for path in paths])) if paths else Path()


def _source(measured: Measured, root: Path) -> ResultSource:
    details = measured.details
    evidence = details.evidence
    samples: Iterable[Mapping[str, str]] = evidence.samples.values()
    files = [evidence.run, evidence.per_query, *(file for sides in samples for file in sides.values())]
    return ResultSource(
        model=measured.model,
        revision=details.model.revision,
        fingerprint=details.model.fingerprint,
        dataset=details.dataset.name,
        dataset_fingerprint=details.dataset.fingerprint,
        file=measured.path.absolute().relative_to(root).as_posix(),
        evidence=tuple(file for file in files if file),
        run_sha256=evidence.run_sha256,
        measured_on=details.measured_on,
        environment=details.environment,
    )


class Rankings:
    """Per-query nDCG@10 and first documents of every model and dataset; empty if a file is missing.

    ``values`` and ``tops`` remember what they have read, since every model is compared with every other.
    """

    def __init__(self, chosen: Chosen) -> None:
        self._chosen = chosen
        # Not as decorators, which would keep every board alive for as long as the class.
        self.values = cache(self._values)
        self.tops = cache(self._tops)

    def _values(self, model: str, dataset: str) -> dict[str, float]:
        """Return query id -> nDCG@10.

        Raises:
            ResultError: the file exists but holds no per-query scores.
        """
        measured = self._chosen.get(model, {}).get(dataset)
        if measured is None or not (name := measured.details.evidence.per_query):
            return {}
        return (read_per_query(measured.path.parent / name) or {}).get(MEASURE, {})

    def _tops(self, model: str, dataset: str) -> dict[str, str]:
        """Return query id -> id of the document ranked first."""
        measured = self._chosen.get(model, {}).get(dataset)
        run = Store(measured.path.parent).load_run(measured.path, measured.result) if measured else None
        return {query: run[query][0][0] for query in run if run[query]} if run is not None else {}
