"""Datasets and models of pairs, and vectors in the form of a variant; each is made once and kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.encode.cache import VectorCache
from pytest_embedbench.encode.variant_encoder import VariantEncoder, describe_variant, variant_encoder
from pytest_embedbench.encode.vector_form import VectorForm, calibration_documents, fit_form
from pytest_embedbench.engine.loader import Loader
from pytest_embedbench.engine.memo import Memo
from pytest_embedbench.evaluate.dense import Encoding
from pytest_embedbench.models.protocol import Encoder, ServedEncoder

if TYPE_CHECKING:
    from pytest_embedbench.datasets.spec import NamedDataset
    from pytest_embedbench.datasets.types import Dataset, Role
    from pytest_embedbench.encode.lookup import Cache
    from pytest_embedbench.encode.progress import Progress
    from pytest_embedbench.engine.pair_work import WorkSettings
    from pytest_embedbench.models.protocol import Model, ModelFacts, Vectors
    from pytest_embedbench.models.spec import NamedModel
    from pytest_embedbench.suite.pairs import Pair

DatasetKey = bytes
"""A dataset's name and definition, as JSON."""


class PairKey(NamedTuple):
    """Key of a pair's work within a session: suites may give one name to different models or datasets."""

    model: NamedModel
    dataset: DatasetKey


def pair_key(pair: Pair) -> PairKey:
    """Return the key of the pair's work."""
    return PairKey(pair.model, _dataset_key(pair.dataset))


def _dataset_key(named: NamedDataset) -> DatasetKey:
    return msgspec.json.encode(named)


class Materials:
    """Datasets and models of a session's pairs, and the embedding cache that their encoding uses.

    Args:
        loader: loads models; one at a time is in memory.
        settings: the cache's folder and size.
        progress: shows how far encoding is.
    """

    def __init__(self, loader: Loader, settings: WorkSettings, progress: Progress) -> None:
        self.loader, self.progress = loader, progress
        self._cache: VectorCache | None = None
        if settings.cache is not None:
            # Without reuse the cache still serves this session: texts that two datasets share are encoded once.
            since = 0.0 if settings.reuse else time.time()
            self._cache = VectorCache(settings.cache, max_bytes=settings.cache_bytes, since=since)
        self._datasets: Memo[DatasetKey, Dataset] = Memo()
        self._forms: Memo[PairKey, VectorForm] = Memo()

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
        return variant_encoder(model, self._forms.get(pair_key(pair), lambda: self._form(pair, model)), facts)

    def keep_form(self, pair: Pair, form: VectorForm) -> None:
        """Keep the form that an evaluation has fitted: a load on this variant needs the same ranges of int8."""
        self._forms.put(pair_key(pair), form)

    def take_cache_notes(self) -> list[str]:
        """Return what the cache has to say since the last call."""
        if self._cache is None:
            return []
        notes, self._cache.notes = self._cache.notes, []
        return notes

    @contextmanager
    def encoding(self, named: NamedModel, model: Model) -> Iterator[Encoding]:
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

    def _form(self, pair: Pair, model: Encoder) -> VectorForm:
        def sample() -> Vectors:
            dataset = pair.model.as_given(self.dataset(pair.dataset))
            # The same documents as in an evaluation, which sends no blank text to a server.
            texts = (dataset.without_blank() if isinstance(model, ServedEncoder) else dataset).doc_texts
            chosen = [texts[index] for index in calibration_documents(texts)]
            with self.encoding(pair.model, model) as encoding:
                return encoding.all(model, chosen, "document").vectors

        return fit_form(pair.model.variant, model.facts, sample)
