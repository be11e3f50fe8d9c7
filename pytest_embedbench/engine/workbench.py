"""A pair's work, done once and kept: load, evaluate or reuse, profile, store. Independent of pytest."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pytest_embedbench.checks.budget import BudgetCheck
from pytest_embedbench.checks.max_rate import MaxRateCheck
from pytest_embedbench.core.locks import remove_old_locks
from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.variant_encoder import VariantEncoder
from pytest_embedbench.engine.evaluations import Evaluator
from pytest_embedbench.engine.hardware import hardware_of
from pytest_embedbench.engine.loader import Loader
from pytest_embedbench.engine.materials import Materials, PairKey, pair_key
from pytest_embedbench.engine.memo import Memo
from pytest_embedbench.engine.probing import Examiner
from pytest_embedbench.engine.profiles import Profiler
from pytest_embedbench.engine.tuning import Tuning
from pytest_embedbench.errors import ModelError
from pytest_embedbench.results.record import model_record
from pytest_embedbench.results.store import Store

if TYPE_CHECKING:
    from pytest_embedbench.checks.evidence import MaxRateSearch
    from pytest_embedbench.conformance.outcome import ProbeOutcome
    from pytest_embedbench.core.measures import Measure
    from pytest_embedbench.datasets.spec import NamedDataset
    from pytest_embedbench.datasets.types import Dataset, Role
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


class Workbench:
    """Evaluations and profiles of pairs, each made once; a failure is kept too and raised again.

    Args:
        settings: device, folders, how long a profile may take.
        progress: shows how far the work is.
        wanted: paths of the results that this session has evaluated or used again; workbenches of a session share it.
    """

    def __init__(self, settings: WorkSettings, progress: Progress, wanted: set[Path] | None = None) -> None:
        self.settings, self.progress = settings, progress
        self.store = Store(settings.results)
        remove_old_locks(Path(tempfile.gettempdir()))
        self._notes: list[str] = []
        tuning = Tuning(settings.cache, remembered=settings.reuse)
        self.loader = Loader(settings.device, settings.dtype, settings.batch_tokens, tuning, self._notes.append)
        self._materials = Materials(self.loader, settings, progress)
        wanted = set() if wanted is None else wanted
        self._evaluator = Evaluator(self._materials, self.store, settings, self._notes.append, wanted)
        self._examiner = Examiner(self.loader, self.store, settings.may_reuse)
        self._profiler = Profiler(self.loader, self.store, settings, progress)
        self._evaluations: Memo[tuple[PairKey, tuple[Measure, ...]], PairWork] = Memo()
        self._unranked: Memo[PairKey, PairWork] = Memo()
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
        key = pair_key(pair), tuple(measures)
        return self._evaluations.get(key, lambda: self._evaluator.evaluate(pair, measures))

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
        return self._profiles.get((pair_key(pair), shape, samples), measure)

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

        return self._max_rates.get((pair_key(pair), search), measure)

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

        return self._slowdowns.get((pair_key(pair), shape, against), measure)

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
        return self._materials.dataset(named)

    def model(self, pair: Pair) -> Model:
        """Return the pair's model, loaded; variants share it, and only one model is kept in memory at a time.

        Raises:
            ModelError: it cannot be loaded.
        """
        return self._materials.model(pair)

    def facts(self, pair: Pair) -> ModelFacts:
        """Return the facts that the pair's model, or its variant, states about itself.

        Raises:
            ModelError: it cannot be loaded, or has fewer dimensions than are to be kept.
        """
        return self._materials.facts(pair)

    def encoder(self, pair: Pair) -> VariantEncoder:
        """Return the pair's model, giving vectors in its variant's form; int8's ranges are from the pair's dataset.

        Raises:
            ModelError: the model makes no vectors, or too short ones.
        """
        return self._materials.encoder(pair)

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
        return notes + self._materials.take_cache_notes()

    def unranked(self, pair: Pair, measures: Sequence[Measure]) -> PairWork:
        """Return the pair's evaluation, if this session has tried it; else the pair without a ranking, at no cost.

        Raises:
            EmbedbenchError: the evaluation has failed.
        """
        if (key := (pair_key(pair), tuple(measures))) in self._evaluations:
            return self.evaluation(pair, measures)
        return self._unranked.get(key[0], lambda: self._evaluator.without_ranking(pair))

    def _work_as_given(self, pair: Pair, measures: Sequence[Measure]) -> PairWork:
        """Return the pair with the dataset as the model gets it, for loads."""
        work = self.unranked(pair, measures)
        return replace(work, dataset=pair.model.as_given(work.dataset))
