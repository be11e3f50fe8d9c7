"""Evaluate pairs, or use what is stored of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pytest_embedbench.engine.pair_results import Destination, reuse, save, unranked
from pytest_embedbench.evaluate.evaluation import evaluate
from pytest_embedbench.evaluate.fail_fast.encoding import FailFast
from pytest_embedbench.evaluate.search import depth_for
from pytest_embedbench.models.registry import kind_of
from pytest_embedbench.results.older_names import take_over
from pytest_embedbench.results.record import model_record
from pytest_embedbench.results.reuse import Conditions, changes, refuse_to_replace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pytest_embedbench.core.measures import Measure
    from pytest_embedbench.datasets.types import Dataset
    from pytest_embedbench.engine.materials import Materials
    from pytest_embedbench.engine.pair_work import PairWork, WorkSettings
    from pytest_embedbench.results.schema import PairResult
    from pytest_embedbench.results.store import Store
    from pytest_embedbench.suite.pairs import Pair


class Evaluator:
    """Evaluates pairs and stores their results.

    Args:
        materials: datasets and models.
        store: where results are.
        settings: whether stored results are used, and whether evaluations may end early.
        note: called with what the user should know.
        wanted: paths of the results that this session has evaluated or used again.
    """

    def __init__(
        self,
        materials: Materials,
        store: Store,
        settings: WorkSettings,
        note: Callable[[str], None],
        wanted: set[Path],
    ) -> None:
        self._materials, self._loader, self._store, self._settings = materials, materials.loader, store, settings
        self._note, self._wanted = note, wanted

    def evaluate(self, pair: Pair, measures: Sequence[Measure]) -> PairWork:
        """Evaluate the pair, or use the stored run if nothing that decides the ranking has changed.

        Raises:
            ModelError, DatasetError: model or data cannot be used.
            ProvenFailure: with ``fail_fast``, one of the pair's limits cannot be kept.
        """
        work = self._evaluated(pair, measures)
        self._wanted.add(work.path)
        return work

    def _evaluated(self, pair: Pair, measures: Sequence[Measure]) -> PairWork:
        self._store.check_writable()
        dataset = self._materials.dataset(pair.dataset)
        path = self._path(pair, dataset)
        # Locked while evaluating: another worker that wants the same pair waits and then uses what is stored.
        with self._store.locked(path):
            now, stored = self._stored(pair, dataset, path)
            # The time is the file's own, since another worker of this session may have written it.
            if stored and self._settings.may_reuse(path.stat().st_mtime) and stored.embedbench.key == now.key:
                run = self._store.load_run(path, stored)
                if run is not None and stored.embedbench.depth >= depth_for(measures):
                    return reuse(self._store, path, stored, run, record=now.record, dataset=dataset, measures=measures)
            # Facts first: they refuse a variant with too many dimensions before anything is encoded.
            facts, model = self._materials.facts(pair), self._materials.model(pair)
            with self._materials.encoding(pair.model, model) as encoding:
                evaluation = evaluate(
                    model,
                    now.given,
                    measures,
                    variant=pair.model.variant,
                    encoding=encoding,
                    fail_fast=self._fail_fast(pair, path, stored, dataset),
                )
            if evaluation.form:
                self._materials.keep_form(pair, evaluation.form)
            destination = Destination(path, msgspec.structs.replace(now.record, facts=facts), now.key, now.software)
            return save(self._store, self._loader, destination, dataset, evaluation, stored)

    def without_ranking(self, pair: Pair) -> PairWork:
        """Return the pair with what is stored of it and without a ranking; nothing is encoded."""
        self._store.check_writable()
        dataset = self._materials.dataset(pair.dataset)
        path = self._path(pair, dataset)
        with self._store.locked(path):
            now, stored = self._stored(pair, dataset, path)
        record = msgspec.structs.replace(now.record, facts=self._materials.facts(pair))
        return unranked(self._loader, Destination(path, record, now.key, now.software), dataset, stored)

    def _stored(self, pair: Pair, dataset: Dataset, path: Path) -> tuple[Conditions, PairResult | None]:
        """Return what decides the pair's ranking now, and the result that is stored; the caller holds its lock.

        Raises:
            ResultError: the file is of another model or definition, or no result.
        """
        now = self._conditions(pair, dataset)
        self._store.refuse_other_model(path, now.record.name)
        take_over(self._store, path, dataset.name)
        stored = self._store.load(path)
        if stored and stored.embedbench.key != now.key:
            self._replace(path, stored, now)
        return now, stored

    def _path(self, pair: Pair, dataset: Dataset) -> Path:
        """Return the path of the pair's result."""
        return self._store.pair_path(model_record(pair.model, self._loader.sources.locate(pair.model)), dataset)

    def _conditions(self, pair: Pair, dataset: Dataset) -> Conditions:
        """Return everything that decides the pair's ranking."""
        source = self._loader.sources.locate(pair.model)
        dtype = self._loader.dtype(pair.model, lambda: dataset)
        similarity = kind_of(pair.model).similarity(pair.model, self._loader.sources)
        record, given = model_record(pair.model, source), pair.model.as_given(dataset)
        return Conditions(pair.model, record, dataset, given, self._loader.device, dtype, source.software, similarity)

    def _replace(self, path: Path, stored: PairResult, now: Conditions) -> None:
        """Say that a stored result is of other settings or files, and will be replaced.

        Raises:
            ResultError: it is of another definition, and stays.
        """
        # By the session's own list: the file's time is that of a file system, whose clock may be another one.
        refuse_to_replace(path, stored.embedbench, now, own_session=path in self._wanted)
        differing = ", ".join(changes(stored.embedbench, now)) or "other settings or software"
        names = f"{now.record.alias} on {now.dataset.name}"
        self._note(f"{names}: the stored result is replaced, since it is of something else: {differing}")

    def _fail_fast(self, pair: Pair, path: Path, stored: PairResult | None, dataset: Dataset) -> FailFast | None:
        """Return limits that may end the evaluation early; a stored run of the same data decides what is encoded first.

        None without ``fail_fast``, without such limits, and for BM25: its score of a document depends on all others, so
        that a part of the corpus proves nothing.
        """
        limits = [check.mean_limit for check in pair.checks if check.mean_limit]
        if not self._settings.fail_fast or not limits or not pair.model.spec.has_vectors:
            return None
        # The run may be of other files or settings: it decides what is encoded first, not what is proven.
        same = stored and stored.embedbench.dataset.fingerprint == dataset.fingerprint
        earlier = self._store.load_run(path, stored) if stored and same else None
        names = f"{pair.model.alias} on {pair.dataset.alias}"
        return FailFast(limits, earlier, lambda outlook: self._note(f"{names}: {outlook}"))
