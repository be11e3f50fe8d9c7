"""Do a pair's work once and keep it: load, evaluate or reuse, profile, store. Knows nothing of pytest."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pytest_embedbench.checks.quality import WORST, QueryOutcome
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.encode.loop import BATCH_TOKENS, Progress, encode
from pytest_embedbench.errors import ModelError
from pytest_embedbench.evaluate.environment import describe, hardware, library_versions, peak_memory_bytes
from pytest_embedbench.evaluate.evaluation import Evaluation, depth_for, evaluate
from pytest_embedbench.evaluate.metrics import Scores, means, score
from pytest_embedbench.evaluate.run import Run
from pytest_embedbench.load.closed_loop import profile_side
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.load.statistics import ProfileResult, SideStatistics
from pytest_embedbench.measures import Measure, parse_measure
from pytest_embedbench.models.load import best_device, load_model
from pytest_embedbench.models.protocol import Encoder, Model, Role
from pytest_embedbench.models.source import locate
from pytest_embedbench.models.spec import NamedModel
from pytest_embedbench.results.schema import DatasetRecord, Details, Evidence, ModelRecord, PairResult
from pytest_embedbench.results.store import Store
from pytest_embedbench.suite import Pair

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Vectors

T = TypeVar("T")

REUSE_LIBRARIES = ("pytest-embedbench", "torch", "transformers", "tokenizers", "sentence-transformers", "bm25s")
"""Libraries whose version can change a ranking: with another one, a stored run is not reused."""


@dataclass(frozen=True)
class WorkSettings:
    """How to work: where models run, what is stored where, how long a profile may take."""

    results: Path
    device: str = ""
    dtype: str = "fp32"
    batch_tokens: int | None = None
    reuse: bool = True
    profile_requests: int = 1000
    profile_seconds: float = 20.0


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
        self._kept: dict[object, object] = {}
        locate.cache_clear()  # files may have changed since an earlier session of this process
        self._loaded: tuple[NamedModel, Model, float] | None = None

    def evaluation(self, pair: Pair, measures: Sequence[Measure]) -> PairWork:
        """Evaluate the pair, or take the stored run where nothing that decides the ranking has changed.

        Raises:
            ModelError, DatasetError: model or data cannot be used.
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

    def dataset(self, named: NamedDataset) -> Dataset:
        """The dataset, loaded once."""
        return self._once(("dataset", named.alias, named.spec.path, named.spec.split), lambda: load_dataset(named))

    def model(self, named: NamedModel) -> Model:
        """The model; only one is kept in memory at a time."""
        if self._loaded is None or self._loaded[0] != named:
            self._loaded = None
            self._loaded = self._once_failing(("model", named), lambda: self._load(named))
        return self._loaded[1]

    def encode(self, named: NamedModel, texts: Sequence[str], role: Role) -> Vectors:
        """Vectors of texts, shape (texts, dimensions), in their order.

        Raises:
            ModelError: the model makes no vectors, or broken ones.
        """
        model = self.model(named)
        if not isinstance(model, Encoder):
            raise ModelError(f"model {named.alias!r} makes no vectors")
        done = encode(model, texts, role, batch_tokens=self._batch_tokens(model), progress=self.progress)
        return done.vectors[done.indices]

    @property
    def device(self) -> str:
        return self._once("device", lambda: self.settings.device or best_device())

    def _load(self, named: NamedModel) -> tuple[NamedModel, Model, float]:
        started = time.perf_counter()
        model = load_model(named, device=self.device, dtype=self.settings.dtype)
        return named, model, time.perf_counter() - started

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

    def _record(self, pair: Pair) -> ModelRecord:
        source = locate(pair.model)
        return ModelRecord(
            name=pair.model.name,
            alias=pair.model.alias,
            revision=source.revision,
            fingerprint=source.fingerprint,
            spec=pair.model.spec,
        )

    def _evaluate(self, pair: Pair, measures: Sequence[Measure]) -> PairWork:
        self.store.check_writable()
        dataset = self.dataset(pair.dataset)
        record = self._record(pair)
        path = self.store.path(record, dataset.name)
        with self.store.locked(path):
            key = self._key(record, dataset)
            stored = self.store.load(path)
            if stored and self.settings.reuse and stored.embedbench.key == key:
                run = self.store.load_run(path, stored)
                if run is not None and stored.embedbench.depth >= depth_for(measures):
                    return self._reuse(path, stored, run, dataset, measures)
            model = self.model(pair.model)
            done = evaluate(model, dataset, measures, batch_tokens=self._batch_tokens(model), progress=self.progress)
            return self._store(path, msgspec.structs.replace(record, facts=model.facts), key, dataset, done, stored)

    def _reuse(
        self, path: Path, stored: PairResult, run: Run, dataset: Dataset, measures: Sequence[Measure]
    ) -> PairWork:
        scores = score(run, dataset.qrels, dataset.judged_queries, measures)
        result = _with_scores(stored, scores, dataset)
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
            dataset=_dataset_record(dataset),
            environment=describe(self.device),
            measured_on=datetime.now(UTC).date().isoformat(),
            depth=done.depth,
            effort=done.encode,
            load_seconds=self._loaded[2] if self._loaded else None,
            peak_memory_bytes=peak_memory_bytes(self.device),
            profiles=kept.profiles if kept else {},
            evidence=evidence,
        )
        blank = PairResult(
            dataset_revision=dataset.revision or dataset.fingerprint[:40],
            task_name=dataset.facts.mteb_task or dataset.name,
            evaluation_time=done.seconds,
            embedbench=details,
        )
        result = _with_scores(blank, done.scores, dataset)
        self.store.save(path, result)
        return PairWork(path=path, result=result, run=done.run, scores=done.scores, dataset=dataset, reused=False)

    def _profile(self, pair: Pair, shape: LoadShape, measures: Sequence[Measure]) -> PairResult:
        work = self.evaluation(pair, measures)
        model = self.model(pair.model)
        if not isinstance(model, Encoder):
            raise ModelError(f"model {pair.model.alias!r} makes no vectors, so there is no load profile of it")
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
        with self.store.locked(work.path):
            result = self.store.load(work.path) or work.result
            details = result.embedbench
            samples = {**details.evidence.samples, str(shape): files}
            details = msgspec.structs.replace(
                details,
                profiles={**details.profiles, str(shape): profile},
                load_seconds=self._loaded[2] if self._loaded else details.load_seconds,
                peak_memory_bytes=peak_memory_bytes(self.device),
                evidence=msgspec.structs.replace(details.evidence, samples=samples),
            )
            result = msgspec.structs.replace(result, embedbench=details)
            self.store.save(work.path, result)
        return result

    def _batch_tokens(self, model: Model) -> int:
        return self.settings.batch_tokens or BATCH_TOKENS.get(model.facts.device.partition(":")[0], BATCH_TOKENS["cpu"])

    def _key(self, record: ModelRecord, dataset: Dataset) -> str:
        libraries = library_versions()
        spec = record.spec
        parts = {
            "model": record.fingerprint,
            "prompts": (spec.query_prompt, spec.document_prompt),
            "max_seq_length": spec.max_seq_length,
            "dtype": self.settings.dtype,
            "device": self.device if record.spec.kind != "bm25" else "",
            "dataset": dataset.fingerprint,
            "libraries": {name: libraries.get(name) for name in REUSE_LIBRARIES},
        }
        return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def _dataset_record(dataset: Dataset) -> DatasetRecord:
    return DatasetRecord(
        name=dataset.name,
        split=dataset.split,
        fingerprint=dataset.fingerprint,
        documents=len(dataset.doc_ids),
        unique_texts=dataset.unique_texts,
        queries=len(dataset.judged_queries),
        queries_in_file=len(dataset.query_ids),
        facts=dataset.facts,
        findings=list(dataset.findings),
    )


def _with_scores(result: PairResult, scores: Scores, dataset: Dataset) -> PairResult:
    """The result with these scores, both under MTEB's names and under ours."""
    mean = means(scores)
    mteb: dict[str, object] = {parse_measure(name).mteb_name: value for name, value in mean.items()}
    mteb["main_score"] = mean.get("ndcg@10")
    mteb |= {"hf_subset": "default", "languages": dataset.facts.languages or ["und-Zyyy"]}
    details = msgspec.structs.replace(result.embedbench, means=mean)
    return msgspec.structs.replace(result, scores={dataset.split or "test": [mteb]} if mean else {}, embedbench=details)
