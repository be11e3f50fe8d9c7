"""Conformance probes on models, each run once; outcomes are stored beside results."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_embedbench.conformance.probes import PROBES
from pytest_embedbench.conformance.subject import Subject
from pytest_embedbench.results.conformance import CONFORMANCE, ProbeRecord, read_probes, write_probes
from pytest_embedbench.results.record import model_record
from pytest_embedbench.results.reuse import hash_parts

if TYPE_CHECKING:
    from pytest_embedbench.conformance.outcome import ProbeOutcome
    from pytest_embedbench.engine.loader import Data, Loader
    from pytest_embedbench.models.spec import NamedModel
    from pytest_embedbench.results.schema import ModelRecord
    from pytest_embedbench.results.store import Store
    from pytest_embedbench.suite.probed_models import ProbedModel


class Examiner:
    """Runs probes on models that ``loader`` loads; a stored outcome is used again if ``may_reuse`` allows its time."""

    def __init__(self, loader: Loader, store: Store, may_reuse: Callable[[float], bool]) -> None:
        self._loader, self._store, self._may_reuse = loader, store, may_reuse
        self._subject: Subject | None = None
        """The model probed last, with the vectors that several probes need."""

    def examine(self, probed_model: ProbedModel, probe: str, data: Data) -> ProbeOutcome:
        """Run one probe on the model, or use the stored outcome if nothing that decides it has changed.

        Raises:
            ModelError: the model, or the one that it is compared with, cannot be used.
        """
        self._store.check_writable()
        record = model_record(probed_model.model.base, self._loader.sources.locate(probed_model.model))
        path = self._store.path(record, "").parent / CONFORMANCE
        # Locked, so that xdist's workers with the same model neither probe it twice nor lose each other's records.
        with self._store.locked(path):
            key = self._key(probed_model, record, data)
            # Outcomes of other files, libraries or devices are left out, and so dropped when the file is written.
            stored = {name: probed for name, probed in read_probes(path).items() if probed.key == key}
            if (earlier := stored.get(probe)) and self._may_reuse(earlier.asked_at):
                return earlier.outcome
            # Only a probe that compares is worth a second model in memory.
            reference = probed_model.reference if PROBES[probe].needs_reference else None
            outcome = PROBES[probe].ask(self._subject_of(probed_model.model.base, reference, data))
            latest = ProbeRecord(probe=probe, key=key, asked_at=time.time(), outcome=outcome)
            write_probes(self._store, path, [*(probed for name, probed in stored.items() if name != probe), latest])
        return outcome

    def _subject_of(self, model: NamedModel, reference: NamedModel | None, data: Data) -> Subject:
        encoder = self._loader.encoder(model, data)
        # Another encoder is another model or number format, for which the vectors kept so far are wrong.
        if self._subject is None or self._subject.model is not encoder:
            self._subject = Subject(model, encoder)
        if reference:
            with self._loader.beside():
                self._subject.reference = self._loader.encoder(reference, data)
        return self._subject

    def _key(self, probed_model: ProbedModel, record: ModelRecord, data: Data) -> str:
        """Return the sha256 of everything that decides the model's vectors and those of its reference."""
        reference, sources = probed_model.reference, self._loader.sources
        compared = reference and sources.locate(reference)
        return hash_parts(
            {
                "model": (record.fingerprint, record.spec),
                "reference": reference and compared and (compared.fingerprint, reference.spec, dict(compared.software)),
                "dtype": self._loader.dtype(probed_model.model, data),
                "device": self._loader.device,
                "software": dict(sources.locate(probed_model.model).software),
            }
        )
