"""Loads on a pair's model: profiles, the highest rate, and the time against another model's; each is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from pytest_embedbench.core.files import distinct_file_name
from pytest_embedbench.core.thresholds import SIDES
from pytest_embedbench.engine.hardware import hardware_of, is_served, peak_memory_bytes
from pytest_embedbench.engine.pair_results import amend
from pytest_embedbench.load.circumstances import CircumstancesRecorder, record_circumstances
from pytest_embedbench.load.closed_loop import profile_side, shuffled_texts
from pytest_embedbench.load.notes import busy_note, notes
from pytest_embedbench.load.open_loop import OpenLoop, profile_open_side
from pytest_embedbench.load.rate_search import max_rate
from pytest_embedbench.load.rates import RateResult
from pytest_embedbench.load.ratio import SideSlowdown, SlowdownResult, dump_pairs
from pytest_embedbench.load.shape import OpenShape
from pytest_embedbench.load.side_by_side import Conditions, compare_side
from pytest_embedbench.load.statistics import ProfileResult, SideStatistics
from pytest_embedbench.models.served.wire import Wired

if TYPE_CHECKING:
    from pytest_embedbench.checks.evidence import MaxRateSearch
    from pytest_embedbench.datasets.types import Dataset, Role
    from pytest_embedbench.encode.progress import Progress
    from pytest_embedbench.engine.loader import Loader
    from pytest_embedbench.engine.pair_work import PairWork, WorkSettings
    from pytest_embedbench.load.shape import LoadShape, Shape
    from pytest_embedbench.models.protocol import Encoder
    from pytest_embedbench.results.schema import Details, ModelRecord, PairResult
    from pytest_embedbench.results.store import Store


@dataclass(frozen=True)
class Profiler:
    """Measures loads on models that ``loader`` has loaded, and adds them to stored results."""

    loader: Loader
    store: Store
    settings: WorkSettings
    progress: Progress

    def profile(
        self, work: PairWork, model: Encoder, shape: Shape, samples: Mapping[str, int] = MappingProxyType({})
    ) -> PairResult:
        """Measure both sides under a load; return the pair's stored result with the profile added.

        ``samples`` has the samples that budgets need, by side.
        """
        sides: dict[str, SideStatistics] = {}
        files: dict[str, str] = {}
        spec = work.result.embedbench.model.spec
        measure = (
            partial(profile_open_side, shape=shape)
            if isinstance(shape, OpenShape)
            else partial(profile_side, shape=shape)
        )
        with self._watched(model) as watch:
            for side in SIDES:
                texts, role = side_texts(work.dataset, side)
                measured = measure(
                    model,
                    texts,
                    role,
                    requests=self.settings.profile_requests,
                    seconds=self.settings.profile_seconds,
                    batch_tokens=self.loader.budget(model).tokens,
                    progress=self.progress,
                    least=samples.get(side, 0),
                )
                sides[side] = measured.statistics
                files[side] = self.store.save_samples(work.path, shape.slug, side, measured.samples)
        profile = ProfileResult(
            shape=str(shape),
            hardware=hardware_of(spec, self.loader.device),
            query=sides["query"],
            corpus=sides["corpus"],
            note="; ".join(filter(None, (notes(sides), busy_note(watch.circumstances)))),
            circumstances=watch.circumstances,
        )

        def add(details: Details) -> Details:
            samples = {**details.evidence.samples, str(shape): files}
            return msgspec.structs.replace(
                details,
                profiles={**details.profiles, str(shape): profile},
                # After a stored evaluation the model is loaded only now, so these are newer than the evaluation's.
                load_seconds=None if is_served(spec) else self.loader.seconds or details.load_seconds,
                peak_memory_bytes=peak_memory_bytes(spec, self.loader.device),
                evidence=msgspec.structs.replace(details.evidence, samples=samples),
            )

        return amend(self.store, work, add)

    def _watched(self, model: Encoder) -> AbstractContextManager[CircumstancesRecorder]:
        """Return a context manager that records the circumstances of a measurement of the model."""
        wire = model.wire() if isinstance(model, Wired) else None
        return record_circumstances(model.facts, energy=self.settings.energy, server_url=wire.url if wire else "")

    def max_rate(self, work: PairWork, model: Encoder, search: MaxRateSearch, bounds: Iterable[float]) -> RateResult:
        """Search for the highest rate (requests a second) under a latency.

        ``bounds`` are rates that checks ask about: the search decides each of them first.
        """
        texts, role = side_texts(work.dataset, search.side)
        loop = OpenLoop(model, texts, role, search.batch, self.loader.budget(model).tokens)
        with self._watched(model) as watch, loop:
            highest, sides = max_rate(
                loop,
                limit_ms=search.latency_ms,
                seconds=self.settings.profile_seconds,
                progress=self.progress,
                required=sorted(set(bounds)),
            )
            loop.verify()
        result = RateResult(
            side=search.side,
            batch=search.batch,
            distinct_texts=len(shuffled_texts(texts)),
            hardware=hardware_of(work.result.embedbench.model.spec, self.loader.device),
            found=highest,
            circumstances=watch.circumstances,
        )
        name = f"b{search.batch}.{search.side}.max-rate-p99-{search.latency_ms:.12g}ms"
        file = self.store.save_rate_samples(work.path, name, sides)

        def add(details: Details) -> Details:
            samples = {**details.evidence.samples, str(search): {search.side: file}}
            return msgspec.structs.replace(
                details,
                max_rates={**details.max_rates, str(search): result},
                evidence=msgspec.structs.replace(details.evidence, samples=samples),
            )

        amend(self.store, work, add)
        return result

    def slowdown(
        self,
        work: PairWork,
        model: Encoder,
        load_baseline: Callable[[], Encoder],
        against: ModelRecord,
        shape: LoadShape,
        confidence: float,
    ) -> SlowdownResult:
        """Time both sides of a pair against a baseline model; both models are in memory until the work is done.

        The timed pairs of each side are written as CSV beside the pair's result.

        Args:
            work: the pair's evaluation.
            model: the pair's model.
            load_baseline: loads the other model.
            against: facts about the other model.
            shape: the load.
            confidence: confidence of the ratio's interval.
        """
        with self.loader.beside():
            # Both stay in memory, since requests alternate between them.
            models = model, load_baseline()
            # One budget for both, so that both get the same batches.
            tokens = self.loader.budget(model).tokens
            conditions = Conditions(self.settings.profile_seconds, confidence, tokens, self.progress)
            sides: dict[str, SideSlowdown] = {}
            with self._watched(model) as watch:
                for side in SIDES:
                    texts, role = side_texts(work.dataset, side)
                    measured = compare_side(models, texts, role, shape, conditions)
                    file = work.path.with_suffix(
                        f".{shape.slug}.against-{distinct_file_name(against.alias)}.{side}.csv"
                    )
                    self.store.write(file, dump_pairs(measured.pairs))
                    sides[side] = msgspec.structs.replace(measured.statistics, samples=file.name)
        result = SlowdownResult(
            shape=str(shape),
            against=against.alias,
            against_revision=against.revision,
            against_fingerprint=against.fingerprint,
            hardware=hardware_of(work.result.embedbench.model.spec, self.loader.device),
            measured_on=datetime.now(UTC).date().isoformat(),
            query=sides["query"],
            corpus=sides["corpus"],
            circumstances=watch.circumstances,
        )
        name = f"{shape} against {against.alias}"
        amend(
            self.store,
            work,
            lambda details: msgspec.structs.replace(details, slowdowns={**details.slowdowns, name: result}),
        )
        return result


def side_texts(dataset: Dataset, side: str) -> tuple[Sequence[str], Role]:
    """Return the texts of a side (``query`` or ``corpus``) and the role in which they are encoded.

    Blank texts are left out: they are no load, and many servers refuse them.
    """
    texts = dataset.query_texts if side == "query" else dataset.doc_texts
    return [text for text in texts if text.strip()], "query" if side == "query" else "document"
