"""Do a pair's work once and keep it: load, evaluate or reuse, profile, store. Knows nothing of pytest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pytest_embedbench.conformance.outcome import Outcome
from pytest_embedbench.core.limits import SIDES, RateLimit
from pytest_embedbench.core.measures import Measure
from pytest_embedbench.core.runs import Run
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.datasets.types import Dataset, Role
from pytest_embedbench.encode.cache import VectorCache
from pytest_embedbench.encode.lookup import Cache
from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.progress import Progress
from pytest_embedbench.encode.variant_encoder import describe_variant, variant_encoder
from pytest_embedbench.encode.vector_form import VectorForm, calibration_documents, fit_form
from pytest_embedbench.engine.loader import Loader
from pytest_embedbench.engine.pair_work import PairWork, WorkSettings
from pytest_embedbench.engine.probing import Examiner
from pytest_embedbench.engine.profiles import _side, measure_slowdown
from pytest_embedbench.engine.tuning import Tuning
from pytest_embedbench.evaluate.dense import Encoding
from pytest_embedbench.evaluate.evaluation import Evaluation, depth_for, evaluate
from pytest_embedbench.evaluate.fail_fast.encoding import FailFast
from pytest_embedbench.evaluate.metrics import score
from pytest_embedbench.load.circumstances import record_circumstances
from pytest_embedbench.load.closed_loop import profile_side, shuffled_texts
from pytest_embedbench.load.max_rate import max_rate
from pytest_embedbench.load.notes import notes
from pytest_embedbench.load.open_loop import OpenLoop, profile_open_side
from pytest_embedbench.load.rates import RateResult
from pytest_embedbench.load.ratio import SlowdownResult
from pytest_embedbench.load.shape import OpenShape, Shape
from pytest_embedbench.load.side_by_side import Conditions
from pytest_embedbench.load.statistics import ProfileResult, SideStatistics
from pytest_embedbench.machine.environment import (
    describe_environment,
    hardware_name,
    matches_hardware,
    peak_memory_bytes,
    ranking_libraries,
)
from pytest_embedbench.models.protocol import Encoder, Model, ModelFacts
from pytest_embedbench.models.source import locate
from pytest_embedbench.models.spec import NamedModel, ProbeName
from pytest_embedbench.results.record import dataset_record, model_record, with_scores
from pytest_embedbench.results.reuse import result_key
from pytest_embedbench.results.schema import Details, Evidence, ModelRecord, PairResult
from pytest_embedbench.results.store import Store
from pytest_embedbench.suite.checks import BudgetCheck, Pair, QualityCheck, SlowdownCheck
from pytest_embedbench.suite.examinees import Examinee

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Vectors

T = TypeVar("T")


class Workbench:
    """Evaluations and profiles of pairs, each made once; a failure is kept too and raised again."""

    def __init__(self, settings: WorkSettings, progress: Progress) -> None:
        self.settings, self.progress = settings, progress
        self.store = Store(settings.results)
        self._cache: VectorCache | None = None
        if settings.cache is not None:
            since = 0.0 if settings.reuse else time.time()
            self._cache = VectorCache(settings.cache, max_bytes=settings.cache_bytes, since=since)
        self._notes: list[str] = []
        self._kept: dict[object, object] = {}
        tuning = Tuning(settings.cache, remembered=settings.reuse)
        self.loader = Loader(settings.device, settings.dtype, settings.batch_tokens, tuning, self._notes.append)
        self._examiner = Examiner(self.loader, self.store, self._may_reuse)

    def evaluation(self, pair: Pair, measures: Sequence[Measure]) -> PairWork:
        """Evaluate the pair, or take the stored run where nothing that decides the ranking has changed.

        Raises:
            ModelError, DatasetError: model or data cannot be used.
            ProvenFailure: with ``fail_fast``, one of the pair's limits cannot be kept.
        """
        key = ("evaluation", pair.model, pair.dataset.alias, tuple(measures))
        return self._once(key, lambda: self._evaluate(pair, measures))

    def profile(self, pair: Pair, shape: Shape, measures: Sequence[Measure]) -> PairResult:
        """Measure the load profile and add it to the pair's stored result.

        Raises:
            ModelError: the model cannot be used, or has no vectors to serve.
        """
        key = ("profile", pair.model, pair.dataset.alias, shape)
        return self._once(key, lambda: self._profile(pair, shape, measures))

    def max_rate(self, pair: Pair, check: BudgetCheck, measures: Sequence[Measure]) -> RateResult:
        """Search for the highest rate under the latency of the check's ``RateLimit``, and add it to the pair's result.

        All such checks of the pair that search for the same rate, and bind on this machine, are decided together.

        Raises:
            ModelError: the model cannot be used, or has no vectors to serve.
        """
        key = ("max rate", pair.model, pair.dataset.alias, check.rate_search)
        return self._once(key, lambda: self._max_rate(pair, check, measures))

    def slowdown(self, pair: Pair, check: SlowdownCheck, measures: Sequence[Measure]) -> SlowdownResult:
        """Time both sides of the pair against the check's other model, and add that to the pair's stored result.

        Both models are in memory until it is done.

        Raises:
            ModelError: one of the models cannot be used, or has no vectors to serve.
        """
        key = ("slowdown", pair.model, pair.dataset.alias, check.shape, check.against)
        return self._once(key, lambda: self._slowdown(pair, check, measures))

    def conformance(self, examinee: Examinee, probe: ProbeName) -> Outcome:
        """Ask the model one probe, or take the stored outcome where nothing that decides it has changed.

        Raises:
            ModelError: the model, or the one that it is compared with, cannot be used.
        """
        data = partial(self.dataset, examinee.dataset) if examinee.dataset else None
        key = ("conformance", examinee.model.base, probe)
        return self._once(key, lambda: self._examiner.examine(examinee, probe, data))

    def dataset(self, named: NamedDataset) -> Dataset:
        """The dataset, loaded once."""
        return self._once(("dataset", named.alias, named.spec.path, named.spec.split), lambda: load_dataset(named))

    def model(self, pair: Pair) -> Model:
        """The pair's model, loaded, which its variants share; only one is kept in memory at a time.

        Raises:
            ModelError: it cannot be loaded.
        """
        return self.loader.model(pair.model, partial(self.dataset, pair.dataset))

    def facts(self, pair: Pair) -> ModelFacts:
        """What the pair's model, or its variant, says of itself.

        Raises:
            ModelError: it cannot be loaded, or has fewer dimensions than are to be kept.
        """
        return describe_variant(pair.model, self.model(pair).facts)

    def encoder(self, pair: Pair) -> Encoder:
        """The pair's model, giving vectors in its variant's form; int8's ranges are those of the pair's dataset.

        Raises:
            ModelError: the model makes no vectors, or too short ones.
        """
        model = self.loader.encoder(pair.model, partial(self.dataset, pair.dataset))
        facts = describe_variant(pair.model, model.facts)
        form = self._once(("form", pair.model, pair.dataset.alias), lambda: self._form(pair, model))
        return variant_encoder(model, form, facts)

    def encode(self, pair: Pair, texts: Sequence[str], role: Role) -> Vectors:
        """Vectors of texts, shape (texts, dimensions), in their order; from the model itself, never from the cache.

        Raises:
            ModelError: the model makes no vectors, or broken ones.
        """
        model = self.encoder(pair)
        done = encode(model, texts, role, batch_tokens=self.loader.budget(model), progress=self.progress)
        return done.vectors[done.indices]

    def take_notes(self) -> list[str]:
        """What the user should know of the work since this was last asked."""
        notes = self._notes.copy()
        self._notes.clear()
        if self._cache is not None:
            notes += self._cache.notes
            self._cache.notes = []
        return notes

    def _form(self, pair: Pair, model: Encoder) -> VectorForm:
        def sample() -> Vectors:
            texts = self.dataset(pair.dataset).doc_texts
            chosen = [texts[index] for index in calibration_documents(texts)]
            with self._encoding(pair.model, model) as encoding:
                return encoding.all(model, chosen, "document").vectors

        return fit_form(pair.model.variant, model.facts, sample)

    def _once(self, key: object, make: Callable[[], T]) -> T:
        """What ``make`` gave or raised when it was first asked for this."""
        if error := self._kept.get(("failed", key)):
            raise error  # type: ignore[misc]
        if key not in self._kept:
            try:
                self._kept[key] = make()
            except Exception as error:
                self._kept["failed", key] = error
                raise
        return self._kept[key]  # type: ignore[return-value]

    def _evaluate(self, pair: Pair, measures: Sequence[Measure]) -> PairWork:
        self.store.check_writable()
        dataset = self.dataset(pair.dataset)
        record = model_record(pair.model)
        path = self.store.path(record, dataset.name)
        with self.store.locked(path):
            dtype = self.loader.dtype(pair.model, lambda: dataset)
            key = result_key(pair.model, record, dataset, device=self.loader.device, dtype=dtype)
            stored = self.store.load(path)
            if stored and self._may_reuse(path.stat().st_mtime) and stored.embedbench.key == key:
                run = self.store.load_run(path, stored)
                if run is not None and stored.embedbench.depth >= depth_for(measures):
                    return self._reuse(path, stored, run, dataset, measures)
            facts, model = self.facts(pair), self.model(pair)
            with self._encoding(pair.model, model) as encoding:
                done = evaluate(
                    model,
                    dataset,
                    measures,
                    variant=pair.model.variant,
                    encoding=encoding,
                    fail_fast=self._fail_fast(pair, path, stored, dataset),
                )
            if done.form:
                self._kept["form", pair.model, pair.dataset.alias] = done.form
            return self._store(path, msgspec.structs.replace(record, facts=facts), key, dataset, done, stored)

    def _fail_fast(self, pair: Pair, path: Path, stored: PairResult | None, dataset: Dataset) -> FailFast | None:
        """What would end the pair's evaluation early; a stored run of the same data says what to try first."""
        limits = [check.limit for check in pair.checks if isinstance(check, QualityCheck) and check.limit]
        if not self.settings.fail_fast or not limits or pair.model.spec.kind == "bm25":
            return None
        same = stored and stored.embedbench.dataset.fingerprint == dataset.fingerprint
        earlier = self.store.load_run(path, stored) if stored and same else None
        names = f"{pair.model.alias} on {pair.dataset.alias}"
        return FailFast(limits, earlier, lambda outlook: self._notes.append(f"{names}: {outlook}"))

    @contextmanager
    def _encoding(self, named: NamedModel, model: Model) -> Iterator[Encoding]:
        """How the model encodes; the embedding cache's file is closed again after the work."""
        caches: Mapping[Role, Cache] = {}
        if self._cache is not None and isinstance(model, Encoder):
            libraries = {name: version for name, version in ranking_libraries().items() if name != "bm25s"}
            caches = self._cache.spaces(named.base.name, locate(named.base).fingerprint, model.facts, libraries)
        try:
            yield Encoding(self.loader.budget(model), self.progress, caches)
        finally:
            if self._cache is not None:
                self._cache.close()

    def _may_reuse(self, made: float) -> bool:
        """May what was stored at this time (unix seconds) be used again?"""
        return self.settings.reuse or made >= self.settings.fresh_since

    def _reuse(
        self, path: Path, stored: PairResult, run: Run, dataset: Dataset, measures: Sequence[Measure]
    ) -> PairWork:
        scores = score(run, dataset.qrels, dataset.judged_queries, measures)
        result = with_scores(stored, scores, dataset)
        if result != stored or not (path.parent / stored.embedbench.evidence.per_query).is_file():
            self.store.save_ranking(path, run, scores, result.embedbench.model.name)
            self.store.save(path, result)
        return PairWork(path=path, result=result, run=run, scores=scores, dataset=dataset, reused=True)

    def _store(
        self,
        path: Path,
        record: ModelRecord,
        key: str,
        dataset: Dataset,
        done: Evaluation,
        earlier: PairResult | None,
    ) -> PairWork:
        kept = earlier.embedbench if earlier and earlier.embedbench.key == key else None
        evidence = Evidence(
            samples=kept.evidence.samples if kept else {},
            **self.store.save_ranking(path, done.run, done.scores, record.name),
        )
        details = Details(
            key=key,
            model=record,
            dataset=dataset_record(dataset),
            environment=describe_environment(self.loader.device),
            measured_on=datetime.now(UTC).date().isoformat(),
            depth=done.depth,
            effort=done.encode,
            load_seconds=self.loader.seconds,
            peak_memory_bytes=peak_memory_bytes(self.loader.device),
            profiles=kept.profiles if kept else {},
            slowdowns=kept.slowdowns if kept else {},
            max_rates=kept.max_rates if kept else {},
            evidence=evidence,
        )
        blank = PairResult(
            dataset_revision=dataset.revision or dataset.fingerprint[:40],
            task_name=dataset.facts.mteb_task or dataset.name,
            evaluation_time=done.seconds,
            embedbench=details,
        )
        result = with_scores(blank, done.scores, dataset)
        self.store.save(path, result)
        return PairWork(path=path, result=result, run=done.run, scores=done.scores, dataset=dataset, reused=False)

    def _profile(self, pair: Pair, shape: Shape, measures: Sequence[Measure]) -> PairResult:
        work = self.evaluation(pair, measures)
        model = self.encoder(pair)
        sides: dict[str, SideStatistics] = {}
        files: dict[str, str] = {}
        profiled = (
            partial(profile_open_side, shape=shape)
            if isinstance(shape, OpenShape)
            else partial(profile_side, shape=shape)
        )
        with record_circumstances(model.facts, energy=self.settings.energy) as watch:
            for side in SIDES:
                texts, role = _side(work.dataset, side)
                measured = profiled(
                    model,
                    texts,
                    role,
                    requests=self.settings.profile_requests,
                    seconds=self.settings.profile_seconds,
                    batch_tokens=self.loader.budget(model).tokens,
                    progress=self.progress,
                )
                sides[side] = measured.statistics
                files[side] = self.store.save_samples(work.path, shape.slug, side, measured.samples)
        profile = ProfileResult(
            shape=str(shape),
            hardware=hardware_name(self.loader.device),
            query=sides["query"],
            corpus=sides["corpus"],
            note=notes(sides),
            circumstances=watch.circumstances,
        )

        def add(details: Details) -> Details:
            samples = {**details.evidence.samples, str(shape): files}
            return msgspec.structs.replace(
                details,
                profiles={**details.profiles, str(shape): profile},
                load_seconds=self.loader.seconds or details.load_seconds,
                peak_memory_bytes=peak_memory_bytes(self.loader.device),
                evidence=msgspec.structs.replace(details.evidence, samples=samples),
            )

        return self._amend(work, add)

    def _max_rate(self, pair: Pair, check: BudgetCheck, measures: Sequence[Measure]) -> RateResult:
        limit = check.limit
        assert isinstance(limit, RateLimit)  # noqa: S101 - what it is for
        work = self.evaluation(pair, measures)
        model = self.encoder(pair)
        machine = hardware_name(self.loader.device)
        required = {
            other.limit.bound
            for other in (check, *pair.checks)
            if isinstance(other, BudgetCheck)
            and other.limit
            and other.rate_search == check.rate_search
            and (not other.hardware or matches_hardware(other.hardware, machine))
        }
        texts, role = _side(work.dataset, limit.side)
        loop = OpenLoop(model, texts, role, check.shape.batch, self.loader.budget(model).tokens)
        with record_circumstances(model.facts, energy=self.settings.energy) as watch, loop:
            found, sides = max_rate(
                loop,
                limit_ms=limit.latency.bound,
                seconds=self.settings.profile_seconds,
                progress=self.progress,
                required=sorted(required),
            )
        result = RateResult(
            side=limit.side,
            batch=check.shape.batch,
            distinct_texts=len(shuffled_texts(texts)),
            hardware=machine,
            found=found,
            circumstances=watch.circumstances,
        )
        search = f"b{check.shape.batch}.{limit.side}.max-rate-p99-{limit.latency.bound:.12g}ms"
        file = self.store.save_rate_samples(work.path, search, sides)

        def add(details: Details) -> Details:
            samples = {**details.evidence.samples, check.rate_search: {limit.side: file}}
            return msgspec.structs.replace(
                details,
                max_rates={**details.max_rates, check.rate_search: result},
                evidence=msgspec.structs.replace(details.evidence, samples=samples),
            )

        self._amend(work, add)
        return result

    def _slowdown(self, pair: Pair, check: SlowdownCheck, measures: Sequence[Measure]) -> SlowdownResult:
        work = self.evaluation(pair, measures)
        model = self.encoder(pair)
        other = msgspec.structs.replace(pair, model=check.against.on_task(pair.dataset.spec.instruction))
        with self.loader.beside():
            models = model, self.encoder(other)
            tokens = self.loader.budget(model).tokens
            conditions = Conditions(self.settings.profile_seconds, check.confidence, tokens, self.progress)
            found = measure_slowdown(
                models,
                work.dataset,
                check,
                model_record(other.model),
                work.path,
                conditions,
                hardware=hardware_name(self.loader.device),
            )
        name = f"{check.shape} against {check.against.alias}"
        self._amend(work, lambda kept: msgspec.structs.replace(kept, slowdowns={**kept.slowdowns, name: found}))
        return found

    def _amend(self, work: PairWork, change: Callable[[Details], Details]) -> PairResult:
        """Change what is stored of a pair by now, which may be more than what its evaluation stored."""
        with self.store.locked(work.path):
            result = self.store.load(work.path) or work.result
            result = msgspec.structs.replace(result, embedbench=change(result.embedbench))
            self.store.save(work.path, result)
        return result
