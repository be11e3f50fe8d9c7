"""A pair's work, done once and kept: load, evaluate or reuse, profile, store. Independent of pytest."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pytest_embedbench.checks.budget import BudgetCheck
from pytest_embedbench.checks.max_rate import MaxRateCheck
from pytest_embedbench.core.locks import remove_old_locks
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.encode.cache import VectorCache
from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.variant_encoder import VariantEncoder, describe_variant, variant_encoder
from pytest_embedbench.encode.vector_form import VectorForm, calibration_documents, fit_form
from pytest_embedbench.engine.hardware import hardware_of
from pytest_embedbench.engine.loader import Loader
from pytest_embedbench.engine.memo import Memo
from pytest_embedbench.engine.pair_results import Destination, reuse, save, unranked
from pytest_embedbench.engine.probing import Examiner
from pytest_embedbench.engine.profiles import Profiler
from pytest_embedbench.engine.tuning import Tuning
from pytest_embedbench.errors import ModelError
from pytest_embedbench.evaluate.dense import Encoding
from pytest_embedbench.evaluate.evaluation import evaluate
from pytest_embedbench.evaluate.fail_fast.encoding import FailFast
from pytest_embedbench.evaluate.search import depth_for
from pytest_embedbench.models.protocol import Encoder, ServedEncoder
from pytest_embedbench.models.registry import kind_of
from pytest_embedbench.results.older_names import take_over
from pytest_embedbench.results.record import model_record
from pytest_embedbench.results.reuse import Conditions, changes, refuse_to_replace
from pytest_embedbench.results.store import Store

if TYPE_CHECKING:
    from pytest_embedbench.checks.evidence import MaxRateSearch
    from pytest_embedbench.conformance.outcome import ProbeOutcome
    from pytest_embedbench.core.measures import Measure
    from pytest_embedbench.datasets.spec import NamedDataset
    from pytest_embedbench.datasets.types import Dataset, Role
    from pytest_embedbench.encode.lookup import Cache
    from pytest_embedbench.encode.progress import Progress
    from pytest_embedbench.engine.pair_work import PairWork, WorkSettings
    from pytest_embedbench.load.rates import RateResult
    from pytest_embedbench.load.ratio import SlowdownResult
    from pytest_embedbench.load.shape import LoadShape, Shape
    from pytest_embedbench.models.protocol import Model, ModelFacts, Vectors
    from pytest_embedbench.models.spec import NamedModel
    from pytest_embedbench.results.schema import PairResult
    from pytest_embedbench.suite.pairs import Pair
    from pytest_embedbench.suite.probed_models import ProbedModel


DatasetKey = bytes
"""A dataset's name and definition, as JSON."""


class PairKey(NamedTuple):
    """Key of a pair's work within a session: suites may give one name to different models or datasets."""

    model: NamedModel
    dataset: DatasetKey


class Workbench:
    """Evaluations and profiles of pairs, each made once; a failure is kept too and raised again.

    Args:
        settings: device, folders, how long a profile may take.
        progress: shows how far the work is.
        wanted: paths of the results that this session has evaluated or used again; workbenches of a session share it.
    """

    def __init__(self, settings: WorkSettings, progress: Progress, wanted: set[Path] | None = None) -> None:
        self.settings, self.progress = settings, progress
        self._wanted: set[Path] = set() if wanted is None else wanted
        self.store = Store(settings.results)
        remove_old_locks(Path(tempfile.gettempdir()))
        self._cache: VectorCache | None = None
        if settings.cache is not None:
            # Without reuse the cache still serves this session: texts that two datasets share are encoded once.
            since = 0.0 if settings.reuse else time.time()
            self._cache = VectorCache(settings.cache, max_bytes=settings.cache_bytes, since=since)
        self._notes: list[str] = []
        tuning = Tuning(settings.cache, remembered=settings.reuse)
        self.loader = Loader(settings.device, settings.dtype, settings.batch_tokens, tuning, self._notes.append)
        self._examiner = Examiner(self.loader, self.store, self._may_reuse)
        self._profiler = Profiler(self.loader, self.store, settings, progress)
        self._datasets: Memo[DatasetKey, Dataset] = Memo()
        self._evaluations: Memo[tuple[PairKey, tuple[Measure, ...]], PairWork] = Memo()
        self._unranked: Memo[PairKey, PairWork] = Memo()
        self._forms: Memo[PairKey, VectorForm] = Memo()
        self._profiles: Memo[tuple[PairKey, Shape, tuple[tuple[str, int], ...]], PairResult] = Memo()
        self._max_rates: Memo[tuple[PairKey, MaxRateSearch], RateResult] = Memo()
        self._slowdowns: Memo[tuple[PairKey, Shape, NamedModel], SlowdownResult] = Memo()
        self._outcomes: Memo[tuple[NamedModel, NamedModel | None, str], ProbeOutcome] = Memo()

    def evaluation(self, pair: Pair, measures: Sequence[Measure]) -> PairWork:
        """Evaluate the pair, or use the stored run if nothing that decides the ranking has changed.

        Raises:
            ModelError, DatasetError: model or data cannot be used.
            ProvenFailure: with ``fail_fast``, one of the pair's limits cannot be kept.
        """
        key = _key(pair), tuple(measures)
        return self._evaluations.get(key, lambda: self._evaluate(pair, measures))

    def profile(self, pair: Pair, shape: Shape, measures: Sequence[Measure]) -> PairResult:
        """Measure the load profile and add it to the pair's stored result.

        The pair is not evaluated for that: a load needs no ranking.

        Raises:
            ModelError: the model cannot be used, or makes no vectors.
        """
        samples = self._samples_needed(pair, shape)

        def measure() -> PairResult:
            work = self._work_as_given(pair, measures)
            return self._profiler.profile(work, self.encoder(pair), shape, dict(samples))

        # With the samples: a test in Python may have measured the same load without budgets, and so too few.
        return self._profiles.get((_key(pair), shape, samples), measure)

    def _samples_needed(self, pair: Pair, shape: Shape) -> tuple[tuple[str, int], ...]:
        """Return the samples that the pair's budgets on this load need on this machine, as pairs of side and number."""
        machine = hardware_of(pair.model.spec, self.loader.device)
        needed: dict[str, int] = {}
        for check in pair.checks:
            if isinstance(check, BudgetCheck) and check.shape == shape and check.binds_on(machine):
                for side, samples in check.samples.items():
                    needed[side] = max(needed.get(side, 0), samples)
        return tuple(sorted(needed.items()))

    def max_rate(self, pair: Pair, search: MaxRateSearch, measures: Sequence[Measure]) -> RateResult:
        """Search for the highest rate under a latency, and add it to the pair's stored result.

        One search decides all checks of the pair that ask for it and bind on this machine.

        Raises:
            ModelError: the model cannot be used, or makes no vectors.
        """

        def measure() -> RateResult:
            work = self._work_as_given(pair, measures)
            model = self.encoder(pair)
            machine = hardware_of(pair.model.spec, self.loader.device)
            # Each bound becomes a rate that the search tries, so that no check has its limit inside the bracket.
            bounds = [
                check.limit.bound
                for check in pair.checks
                if isinstance(check, MaxRateCheck) and check.search == search and check.binds_on(machine)
            ]
            return self._profiler.max_rate(work, model, search, bounds)

        return self._max_rates.get((_key(pair), search), measure)

    def slowdown(
        self, pair: Pair, shape: LoadShape, against: NamedModel, confidence: float, measures: Sequence[Measure]
    ) -> SlowdownResult:
        """Time both sides of the pair against another model, and add that to the pair's stored result.

        Both models are in memory until it is done.

        Raises:
            ModelError: one of the models cannot be used, or makes no vectors.
        """

        def measure() -> SlowdownResult:
            work = self._work_as_given(pair, measures)
            model = self.encoder(pair)
            other = msgspec.structs.replace(pair, model=against.on_task(pair.dataset.spec.instruction))
            record = model_record(other.model, self.loader.sources.locate(other.model))
            # A function, since the profiler must keep the pair's model in memory while it loads the other one.
            return self._profiler.slowdown(work, model, lambda: self.encoder(other), record, shape, confidence)

        return self._slowdowns.get((_key(pair), shape, against), measure)

    def conformance(self, probed_model: ProbedModel, probe: str) -> ProbeOutcome:
        """Run one probe on the model, or use the stored outcome if nothing that decides it has changed.

        Raises:
            ModelError: the model, or the one that it is compared with, cannot be used.
        """
        data = partial(self.dataset, probed_model.dataset) if probed_model.dataset else None
        key = probed_model.model.base, probed_model.reference, probe
        return self._outcomes.get(key, lambda: self._examiner.examine(probed_model, probe, data))

    def dataset(self, named: NamedDataset) -> Dataset:
        """Return the dataset, loaded once. A model gets its documents as ``NamedModel.as_given`` writes them."""
        return self._datasets.get(_dataset_key(named), lambda: load_dataset(named))

    def model(self, pair: Pair) -> Model:
        """Return the pair's model, loaded; variants share it, and only one model is kept in memory at a time.

        Raises:
            ModelError: it cannot be loaded.
        """
        return self.loader.model(pair.model, partial(self.dataset, pair.dataset))

    def facts(self, pair: Pair) -> ModelFacts:
        """Return the facts that the pair's model, or its variant, states about itself.

        Raises:
            ModelError: it cannot be loaded, or has fewer dimensions than are to be kept.
        """
        facts = describe_variant(pair.model, self.model(pair).facts)
        return msgspec.structs.replace(facts, prompts=pair.model.stated_prompts(facts.prompts))

    def encoder(self, pair: Pair) -> VariantEncoder:
        """Return the pair's model, giving vectors in its variant's form; int8's ranges are from the pair's dataset.

        Raises:
            ModelError: the model makes no vectors, or too short ones.
        """
        model = self.loader.encoder(pair.model, partial(self.dataset, pair.dataset))
        facts = describe_variant(pair.model, model.facts)
        return variant_encoder(model, self._forms.get(_key(pair), lambda: self._form(pair, model)), facts)

    def encode(self, pair: Pair, texts: Sequence[str], role: Role) -> Vectors:
        """Return vectors of texts, shape (texts, dimensions), in their order; never from the cache.

        Raises:
            ModelError: the model makes no vectors, or broken ones.
        """
        # These texts are not the dataset's documents: none of them has a title.
        pair = msgspec.structs.replace(pair, model=msgspec.structs.replace(pair.model, titled=False))
        model = self.encoder(pair)
        # Without the cache, since a test in Python asks for the vectors that the model gives now.
        budget = self.loader.budget(model)
        encoded = encode(model.whole, texts, role, batch_tokens=budget, progress=self.progress)
        return model.form(encoded.vectors)[encoded.indices]

    def cause(self, error: Exception, model: NamedModel) -> str:
        """Return a name for the cause of an error; errors of the same cause have the same name.

        Args:
            error: what the work has raised.
            model: the model that the work was on.
        """
        if failed := self.loader.failed_model(error):
            return f"load {failed}"
        # Further lines and the fix depend on the work that has failed, such as how much was done until then.
        first_line = str(error).partition("\n")[0]
        return f"{model.base.alias}: {first_line}" if isinstance(error, ModelError) else first_line

    def take_notes(self) -> list[str]:
        """Return notes for the user on the work done since the last call."""
        self.loader.say_notes()
        notes = self._notes.copy()
        self._notes.clear()
        if self._cache is not None:
            notes += self._cache.notes
            self._cache.notes = []
        return notes

    def unranked(self, pair: Pair, measures: Sequence[Measure]) -> PairWork:
        """Return the pair's evaluation, if this session has tried it; else the pair without a ranking, at no cost.

        Raises:
            EmbedbenchError: the evaluation has failed.
        """
        if (key := (_key(pair), tuple(measures))) in self._evaluations:
            return self.evaluation(pair, measures)
        return self._unranked.get(key[0], lambda: self._without_ranking(pair))

    def _work_as_given(self, pair: Pair, measures: Sequence[Measure]) -> PairWork:
        """Return the pair with the dataset as the model gets it, for loads."""
        work = self.unranked(pair, measures)
        return replace(work, dataset=pair.model.as_given(work.dataset))

    def _without_ranking(self, pair: Pair) -> PairWork:
        self.store.check_writable()
        dataset = self.dataset(pair.dataset)
        path = self._path(pair, dataset)
        with self.store.locked(path):
            now = self._conditions(pair, dataset)
            self.store.refuse_other_model(path, now.record.name)
            take_over(self.store, path, dataset.name)
            stored = self.store.load(path)
            if stored and stored.embedbench.key != now.key:
                self._replace(path, stored, now)
        record = msgspec.structs.replace(now.record, facts=self.facts(pair))
        return unranked(self.loader, Destination(path, record, now.key, now.software), dataset, stored)

    def _path(self, pair: Pair, dataset: Dataset) -> Path:
        """Return the path of the pair's result."""
        return self.store.pair_path(model_record(pair.model, self.loader.sources.locate(pair.model)), dataset)

    def _conditions(self, pair: Pair, dataset: Dataset) -> Conditions:
        """Return everything that decides the pair's ranking."""
        source = self.loader.sources.locate(pair.model)
        dtype = self.loader.dtype(pair.model, lambda: dataset)
        similarity = kind_of(pair.model).similarity(pair.model, self.loader.sources)
        record, given = model_record(pair.model, source), pair.model.as_given(dataset)
        return Conditions(pair.model, record, dataset, given, self.loader.device, dtype, source.software, similarity)

    def _form(self, pair: Pair, model: Encoder) -> VectorForm:
        def sample() -> Vectors:
            dataset = pair.model.as_given(self.dataset(pair.dataset))
            # The same documents as in an evaluation, which sends no blank text to a server.
            texts = (dataset.without_blank() if isinstance(model, ServedEncoder) else dataset).doc_texts
            chosen = [texts[index] for index in calibration_documents(texts)]
            with self._encoding(pair.model, model) as encoding:
                return encoding.all(model, chosen, "document").vectors

        return fit_form(pair.model.variant, model.facts, sample)

    def _evaluate(self, pair: Pair, measures: Sequence[Measure]) -> PairWork:
        work = self._evaluated(pair, measures)
        self._wanted.add(work.path)
        return work

    def _evaluated(self, pair: Pair, measures: Sequence[Measure]) -> PairWork:
        self.store.check_writable()
        dataset = self.dataset(pair.dataset)
        path = self._path(pair, dataset)
        # Locked while evaluating: another worker that wants the same pair waits and then uses what is stored.
        with self.store.locked(path):
            now = self._conditions(pair, dataset)
            self.store.refuse_other_model(path, now.record.name)
            take_over(self.store, path, dataset.name)
            stored = self.store.load(path)
            # The time is the file's own, since another worker of this session may have written it.
            if stored and self._may_reuse(path.stat().st_mtime) and stored.embedbench.key == now.key:
                run = self.store.load_run(path, stored)
                if run is not None and stored.embedbench.depth >= depth_for(measures):
                    return reuse(self.store, path, stored, run, record=now.record, dataset=dataset, measures=measures)
            if stored and stored.embedbench.key != now.key:
                self._replace(path, stored, now)
            # Facts first: they refuse a variant with too many dimensions before anything is encoded.
            facts, model = self.facts(pair), self.model(pair)
            with self._encoding(pair.model, model) as encoding:
                evaluation = evaluate(
                    model,
                    now.given,
                    measures,
                    variant=pair.model.variant,
                    encoding=encoding,
                    fail_fast=self._fail_fast(pair, path, stored, dataset),
                )
            if evaluation.form:
                # A load on this variant needs the same ranges of int8, without encoding the sample again.
                self._forms.put(_key(pair), evaluation.form)
            destination = Destination(path, msgspec.structs.replace(now.record, facts=facts), now.key, now.software)
            return save(self.store, self.loader, destination, dataset, evaluation, stored)

    def _replace(self, path: Path, stored: PairResult, now: Conditions) -> None:
        """Say that a stored result is of other settings or files, and will be replaced.

        Raises:
            ResultError: it is of another definition, and stays.
        """
        # By the session's own list: the file's time is that of a file system, whose clock may be another one.
        refuse_to_replace(path, stored.embedbench, now, own_session=path in self._wanted)
        differing = ", ".join(changes(stored.embedbench, now)) or "other settings or software"
        names = f"{now.record.alias} on {now.dataset.name}"
        self._notes.append(f"{names}: the stored result is replaced, since it is of something else: {differing}")

    def _fail_fast(self, pair: Pair, path: Path, stored: PairResult | None, dataset: Dataset) -> FailFast | None:
        """Return limits that may end the evaluation early; a stored run of the same data decides what is encoded first.

        None without ``fail_fast``, without such limits, and for BM25: its score of a document depends on all others, so
        that a part of the corpus proves nothing.
        """
        limits = [check.mean_limit for check in pair.checks if check.mean_limit]
        if not self.settings.fail_fast or not limits or not pair.model.spec.has_vectors:
            return None
        # The run may be of other files or settings: it decides what is encoded first, not what is proven.
        same = stored and stored.embedbench.dataset.fingerprint == dataset.fingerprint
        earlier = self.store.load_run(path, stored) if stored and same else None
        names = f"{pair.model.alias} on {pair.dataset.alias}"
        return FailFast(limits, earlier, lambda outlook: self._notes.append(f"{names}: {outlook}"))

    @contextmanager
    def _encoding(self, named: NamedModel, model: Model) -> Iterator[Encoding]:
        """Give settings for encoding with the model, and close the embedding cache's file after the work."""
        caches: Mapping[Role, Cache] = {}
        if self._cache is not None and isinstance(model, Encoder):
            source = self.loader.sources.locate(named)
            caches = self._cache.spaces(named.base.name, source.fingerprint, model.facts, source.software)
        try:
            yield Encoding(self.loader.budget(model), self.progress, caches)
        finally:
            if self._cache is not None:
                self._cache.close()

    def _may_reuse(self, stored_at: float) -> bool:
        """Whether a result stored at this time (Unix, seconds) may be used again."""
        return self.settings.reuse or stored_at >= self.settings.fresh_since


def _key(pair: Pair) -> PairKey:
    return PairKey(pair.model, _dataset_key(pair.dataset))


def _dataset_key(named: NamedDataset) -> DatasetKey:
    return msgspec.json.encode(named)
