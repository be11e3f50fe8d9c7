"""Do a pair's work once and keep it: load, evaluate or reuse, profile, store. Knows nothing of pytest."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pytest_embedbench.checks.quality import WORST, QueryOutcome
from pytest_embedbench.conformance.outcome import Outcome
from pytest_embedbench.conformance.probes import PROBES
from pytest_embedbench.conformance.subject import Subject
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.encode.cache import MAX_BYTES, VectorCache
from pytest_embedbench.encode.loop import BATCH_TOKENS, Cache, Progress, encode
from pytest_embedbench.errors import ModelError
from pytest_embedbench.evaluate.environment import describe, hardware, library_versions, peak_memory_bytes
from pytest_embedbench.evaluate.evaluation import Evaluation, depth_for, evaluate
from pytest_embedbench.evaluate.fail_fast import FailFast
from pytest_embedbench.evaluate.metrics import Scores, score
from pytest_embedbench.evaluate.run import Run
from pytest_embedbench.load.closed_loop import profile_side
from pytest_embedbench.load.paired import Conditions
from pytest_embedbench.load.ratio import SlowdownResult
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.load.statistics import ProfileResult, SideStatistics
from pytest_embedbench.measures import Measure
from pytest_embedbench.models.form import VariantEncoder, VectorForm, calibration, describe_variant, fit
from pytest_embedbench.models.load import best_device, load_model, usual_dtype
from pytest_embedbench.models.protocol import Encoder, Instructed, Model, ModelFacts, Role, ServedEncoder
from pytest_embedbench.models.source import locate
from pytest_embedbench.models.spec import NamedModel, ProbeName
from pytest_embedbench.results.conformance import CONFORMANCE, ProbeRecord, read_probes, write_probes
from pytest_embedbench.results.record import dataset_record, with_scores
from pytest_embedbench.results.schema import Details, Evidence, ModelRecord, PairResult
from pytest_embedbench.results.store import Store
from pytest_embedbench.slowdown import measure_slowdown
from pytest_embedbench.suite import Examinee, Pair, QualityCheck, SlowdownCheck

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Vectors

T = TypeVar("T")

REUSE_LIBRARIES = (
    "pytest-embedbench", "torch", "transformers", "tokenizers", "sentence-transformers", "bm25s",
    "onnxruntime", "onnxruntime-gpu", "openvino",
)  # fmt: skip
"""Libraries whose version can change a ranking: with another one, a stored run is not reused."""


@dataclass(frozen=True)
class WorkSettings:
    """How to work: where models run, what is stored where, how long a profile may take."""

    results: Path
    device: str = ""
    dtype: str = ""
    """Empty: each checkpoint's own on a GPU, fp32 on a CPU."""
    batch_tokens: int | None = None
    reuse: bool = True
    fresh_since: float = math.inf
    """Without ``reuse``: what was stored after this time (Unix, seconds) is of this session, and is used again."""
    cache: Path | None = None
    """The embedding cache's folder; None: none. Without ``reuse``, only vectors made from now on are read from it."""
    cache_bytes: int = MAX_BYTES
    profile_requests: int = 1000
    profile_seconds: float = 20.0
    fail_fast: bool = False
    """End a pair's evaluation once one of its quality limits is proven missed."""


@dataclass(frozen=True)
class PairWork:
    """A pair's evaluation: its stored result, the ranking and the values behind the means."""

    path: Path
    result: PairResult
    run: Run
    scores: Scores
    dataset: Dataset
    reused: bool

    @property
    def means(self) -> dict[str, float]:
        return self.result.embedbench.means

    def worst_queries(self, measure: Measure, count: int = WORST) -> list[QueryOutcome]:
        """The queries with the lowest value of the measure, worst first."""
        values = self.scores.get(str(measure), {})
        outcomes = []
        for query in sorted(values, key=lambda key: (values[key], key))[:count]:
            ranking = self.run.get(query, [])
            relevant = (rank for rank, (doc, _) in enumerate(ranking, 1) if self.dataset.qrels[query].get(doc, 0) > 0)
            first = ranking[0][0] if ranking else ""
            outcomes.append(
                QueryOutcome(query, self.dataset.query_text[query], values[query], first, next(relevant, 0))
            )
        return outcomes


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
        locate.cache_clear()  # files may have changed since an earlier session of this process
        self._loaded: tuple[NamedModel, Model, float] | None = None
        self._subject: Subject | None = None
        """The loaded model under examination."""

    def evaluation(self, pair: Pair, measures: Sequence[Measure]) -> PairWork:
        """Evaluate the pair, or take the stored run where nothing that decides the ranking has changed.

        Raises:
            ModelError, DatasetError: model or data cannot be used.
            ProvenFailure: with ``fail_fast``, one of the pair's limits cannot be kept.
        """
        key = ("evaluation", pair.model, pair.dataset.alias, tuple(measures))
        return self._once(key, lambda: self._evaluate(pair, measures))

    def profile(self, pair: Pair, shape: LoadShape, measures: Sequence[Measure]) -> PairResult:
        """Measure the load profile and add it to the pair's stored result.

        Raises:
            ModelError: the model cannot be used, or has no vectors to serve.
        """
        key = ("profile", pair.model, pair.dataset.alias, shape)
        return self._once(key, lambda: self._profile(pair, shape, measures))

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
        return self._once(("conformance", examinee.model.base, probe), lambda: self._examine(examinee, probe))

    def dataset(self, named: NamedDataset) -> Dataset:
        """The dataset, loaded once."""
        return self._once(("dataset", named.alias, named.spec.path, named.spec.split), lambda: load_dataset(named))

    def model(self, named: NamedModel) -> Model:
        """The model that was loaded, which its variants share; only one is kept in memory at a time."""
        base = named.base
        if self._loaded is None or self._loaded[0] != base:
            self._loaded = self._subject = None
            self._loaded = self._once_failing(("model", base), lambda: self._load(base))
        loaded = self._loaded[1]
        return loaded.with_prompts(named.prompts) if named.task and isinstance(loaded, Instructed) else loaded

    def facts(self, named: NamedModel) -> ModelFacts:
        """What the model, or its variant, says of itself.

        Raises:
            ModelError: it cannot be loaded, or has fewer dimensions than are to be kept.
        """
        return describe_variant(named, self.model(named).facts)

    def encoder(self, pair: Pair) -> Encoder:
        """The pair's model, giving vectors in its variant's form; int8's ranges are those of the pair's dataset.

        Raises:
            ModelError: the model makes no vectors, or too short ones.
        """
        facts, model = self.facts(pair.model), self.model(pair.model)
        if not isinstance(model, Encoder):
            raise ModelError(f"model {pair.model.alias!r} makes no vectors")
        form = self._once(("form", pair.model, pair.dataset.alias), lambda: self._form(pair, model))
        return VariantEncoder(model, form, facts)

    def encode(self, pair: Pair, texts: Sequence[str], role: Role) -> Vectors:
        """Vectors of texts, shape (texts, dimensions), in their order; from the model itself, never from the cache.

        Raises:
            ModelError: the model makes no vectors, or broken ones.
        """
        model = self.encoder(pair)
        done = encode(model, texts, role, batch_tokens=self._batch_tokens(model), progress=self.progress)
        return done.vectors[done.indices]

    def take_notes(self) -> list[str]:
        """What the user should know of the work since this was last asked."""
        notes, self._notes = self._notes, []
        if self._cache is not None:
            notes += self._cache.notes
            self._cache.notes = []
        return notes

    @property
    def device(self) -> str:
        return self._once("device", lambda: self.settings.device or best_device())

    def _load(self, named: NamedModel) -> tuple[NamedModel, Model, float]:
        started = time.perf_counter()
        model = load_model(named, device=self.device, dtype=self._dtype(named))
        self._notes += [f"{named.alias}: {notice}" for notice in model.facts.notices]
        return named, model, time.perf_counter() - started

    def _dtype(self, named: NamedModel) -> str:
        return self.settings.dtype or usual_dtype(named, self.device)

    def _form(self, pair: Pair, model: Encoder) -> VectorForm:
        def sample() -> Vectors:
            texts = self.dataset(pair.dataset).doc_texts
            chosen = [texts[index] for index in calibration(texts)]
            tokens = self._batch_tokens(model)
            with self._caches(pair.model, model) as caches:
                cache = caches.get("document")
                return encode(
                    model, chosen, "document", batch_tokens=tokens, progress=self.progress, cache=cache
                ).vectors

        return fit(pair.model.variant, model.facts, sample)

    def _once(self, key: object, make: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = self._once_failing(key, make)
        return self._kept[key]  # type: ignore[return-value]

    def _once_failing(self, key: object, make: Callable[[], T]) -> T:
        """Call ``make``, but raise again what it raised before: a model that does not load is tried once."""
        if error := self._kept.get(("failed", key)):
            raise error  # type: ignore[misc]
        try:
            return make()
        except Exception as error:
            self._kept["failed", key] = error
            raise

    def _record(self, model: NamedModel) -> ModelRecord:
        source = locate(model.base)
        return ModelRecord(
            name=model.name,
            alias=model.alias,
            revision=source.revision,
            fingerprint=source.fingerprint,
            spec=model.spec,
        )

    def _examine(self, examinee: Examinee, probe: ProbeName) -> Outcome:
        self.store.check_writable()
        model = examinee.model.base
        record = self._record(model)
        path = self.store.path(record, "").parent / CONFORMANCE
        with self.store.locked(path):
            key = self._probe_key(examinee, record)
            stored = {name: kept for name, kept in read_probes(path).items() if kept.key == key}
            if (kept := stored.get(probe)) and (self.settings.reuse or kept.asked_at >= self.settings.fresh_since):
                return kept.outcome
            outcome = PROBES[probe].ask(self._subject_of(model, examinee.reference if probe == "parity" else None))
            asked = ProbeRecord(probe=probe, key=key, asked_at=time.time(), outcome=outcome)
            write_probes(path, [*(kept for name, kept in stored.items() if name != probe), asked])
        return outcome

    def _subject_of(self, model: NamedModel, reference: NamedModel | None) -> Subject:
        encoder = self.model(model)
        if not isinstance(encoder, Encoder):
            raise ModelError(f"model {model.alias!r} makes no vectors")
        if self._subject is None:
            self._subject = Subject(model, encoder)
        subject, loaded = self._subject, self._loaded
        if reference:
            try:
                other = self.model(reference)
            finally:
                self._loaded, self._subject = loaded, subject  # the other one is let go
            if not isinstance(other, Encoder):
                raise ModelError(f"model {reference.alias!r} makes no vectors")
            subject.reference = other
        return subject

    def _probe_key(self, examinee: Examinee, record: ModelRecord) -> str:
        reference = examinee.reference
        parts = {
            "model": (record.fingerprint, record.spec),
            "reference": reference and (locate(reference).fingerprint, reference.spec),
            "dtype": self._dtype(examinee.model),
            "device": self.device,
            "libraries": {name: library_versions().get(name) for name in REUSE_LIBRARIES},
        }
        return _sha256(parts)

    def _evaluate(self, pair: Pair, measures: Sequence[Measure]) -> PairWork:
        self.store.check_writable()
        dataset = self.dataset(pair.dataset)
        record = self._record(pair.model)
        path = self.store.path(record, dataset.name)
        with self.store.locked(path):
            key = self._key(pair.model, record, dataset)
            stored = self.store.load(path)
            if stored and self._may_reuse(path) and stored.embedbench.key == key:
                run = self.store.load_run(path, stored)
                if run is not None and stored.embedbench.depth >= depth_for(measures):
                    return self._reuse(path, stored, run, dataset, measures)
            facts, model = self.facts(pair.model), self.model(pair.model)
            with self._caches(pair.model, model) as caches:
                done = evaluate(
                    model,
                    dataset,
                    measures,
                    variant=pair.model.variant,
                    batch_tokens=self._batch_tokens(model),
                    progress=self.progress,
                    caches=caches,
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
    def _caches(self, named: NamedModel, model: Model) -> Iterator[Mapping[Role, Cache]]:
        """The model's parts of the embedding cache, whose file is closed again after the work."""
        if self._cache is None or not isinstance(model, Encoder):
            yield {}
            return
        versions = library_versions()
        libraries = {name: versions.get(name) for name in REUSE_LIBRARIES if name != "bm25s"}
        try:
            yield self._cache.spaces(named.base.name, locate(named.base).fingerprint, model.facts, libraries)
        finally:
            self._cache.close()

    def _may_reuse(self, path: Path) -> bool:
        return self.settings.reuse or path.stat().st_mtime >= self.settings.fresh_since

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
            environment=describe(self.device),
            measured_on=datetime.now(UTC).date().isoformat(),
            depth=done.depth,
            effort=done.encode,
            load_seconds=self._loaded[2] if self._loaded else None,
            peak_memory_bytes=peak_memory_bytes(self.device),
            profiles=kept.profiles if kept else {},
            slowdowns=kept.slowdowns if kept else {},
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

    def _profile(self, pair: Pair, shape: LoadShape, measures: Sequence[Measure]) -> PairResult:
        work = self.evaluation(pair, measures)
        model = self.encoder(pair)
        sides: dict[str, SideStatistics] = {}
        files: dict[str, str] = {}
        for side, texts in (("query", work.dataset.query_texts), ("corpus", work.dataset.doc_texts)):
            measured = profile_side(
                model,
                texts,
                "query" if side == "query" else "document",
                shape,
                requests=self.settings.profile_requests,
                seconds=self.settings.profile_seconds,
                batch_tokens=self._batch_tokens(model),
                progress=self.progress,
            )
            sides[side] = measured.statistics
            files[side] = self.store.save_samples(work.path, shape.slug, side, measured.samples)
        profile = ProfileResult(
            shape=str(shape),
            hardware=hardware(self.device),
            query=sides["query"],
            corpus=sides["corpus"],
            note="; ".join(
                f"only {side.distinct_texts} distinct {name} texts for {side.texts} sent: some were sent again"
                for name, side in sides.items()
                if side.distinct_texts < side.texts
            ),
        )

        def add(details: Details) -> Details:
            samples = {**details.evidence.samples, str(shape): files}
            return msgspec.structs.replace(
                details,
                profiles={**details.profiles, str(shape): profile},
                load_seconds=self._loaded[2] if self._loaded else details.load_seconds,
                peak_memory_bytes=peak_memory_bytes(self.device),
                evidence=msgspec.structs.replace(details.evidence, samples=samples),
            )

        return self._amend(work, add)

    def _slowdown(self, pair: Pair, check: SlowdownCheck, measures: Sequence[Measure]) -> SlowdownResult:
        work = self.evaluation(pair, measures)
        model, loaded = self.encoder(pair), self._loaded
        other = msgspec.structs.replace(pair, model=check.against.on_task(pair.dataset.spec.instruction))
        try:
            models = model, self.encoder(other)
            tokens = self._batch_tokens(model)
            conditions = Conditions(self.settings.profile_seconds, check.confidence, tokens, self.progress)
            found = measure_slowdown(
                models,
                work.dataset,
                check,
                self._record(other.model),
                work.path,
                conditions,
                hardware=hardware(self.device),
            )
        finally:
            self._loaded = loaded  # the other one is let go
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

    def _batch_tokens(self, model: Model) -> int:
        own = model.limits.tokens if isinstance(model, ServedEncoder) else None
        usual = BATCH_TOKENS.get(model.facts.device.partition(":")[0], BATCH_TOKENS["cpu"])
        return self.settings.batch_tokens or own or usual

    def _key(self, model: NamedModel, record: ModelRecord, dataset: Dataset) -> str:
        libraries = library_versions()
        spec = record.spec
        parts = {
            "model": record.fingerprint,
            "prompts": tuple(model.prompts.values()),
            "max_seq_length": spec.max_seq_length,
            "variant": str(spec.variant),
            "dtype": self._dtype(model),
            "device": self.device if record.spec.kind == "sentence-transformers" else "",
            "dataset": dataset.fingerprint,
            "libraries": {name: libraries.get(name) for name in REUSE_LIBRARIES},
        }
        return _sha256(parts)


def _sha256(parts: object) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
