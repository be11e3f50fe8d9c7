"""Models in memory, one at a time, on a device and in a number format; batch budgets and formats are remembered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from pytest_embedbench.encode.batch_budget import CANDIDATE_BATCH_TOKENS, DEFAULT_BATCH_TOKENS, Budget
from pytest_embedbench.engine.dtype_choice import AUTO, choose
from pytest_embedbench.errors import ModelError
from pytest_embedbench.machine.cpu import describe_cpu_paths, fast_dtypes
from pytest_embedbench.machine.device import best_device
from pytest_embedbench.machine.environment import hardware_name, library_versions
from pytest_embedbench.models.load import default_dtype, load_model
from pytest_embedbench.models.protocol import Encoder, InstructedEncoder, ParallelEncoder, ServedEncoder
from pytest_embedbench.models.registry import SourceCache
from pytest_embedbench.results.reuse import hash_parts

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Dataset
    from pytest_embedbench.engine.tuning import Tuning
    from pytest_embedbench.models.protocol import Model
    from pytest_embedbench.models.spec import NamedModel

    Data = Callable[[], Dataset] | None
    """Returns the dataset that the model will encode, if there is one; called only if its texts decide something."""


class Loaded(NamedTuple):
    """A model in memory, the format that was asked for, and the seconds that loading took."""

    base: NamedModel
    dtype: str
    model: Model
    seconds: float


class Loader:
    """Loads models when they are needed and drops the previous one. A model that fails to load is tried once.

    Args:
        device: torch's name of the device; empty: the fastest of this machine.
        dtype: a number format, ``auto`` for the fastest that passes (see ``dtype_choice``), or empty for the default.
        batch_tokens: the token budget of a batch; None: the one that is remembered or measured for the model.
        tuning: findings of earlier sessions on this machine.
        say: called with notes for the user.
    """

    def __init__(
        self, device: str, dtype: str, batch_tokens: int | None, tuning: Tuning, say: Callable[[str], None]
    ) -> None:
        self._device, self._chosen_dtype, self._batch_tokens = device, dtype, batch_tokens
        self._tuning, self._say = tuning, say
        self._loaded: Loaded | None = None
        self._dtypes: dict[tuple[NamedModel, str], str] = {}
        self._budgets: dict[str, Budget] = {}
        self._failed: dict[tuple[NamedModel, str], Exception] = {}
        self.sources = SourceCache()  # of this session alone: files may have changed since an earlier one

    @property
    def device(self) -> str:
        # Only when it is needed: finding the best device imports torch.
        self._device = self._device or best_device()
        return self._device

    @property
    def seconds(self) -> float | None:
        """Seconds that the model in memory took to load; None if there is none."""
        return self._loaded.seconds if self._loaded else None

    def model(self, named: NamedModel, data: Data) -> Model:
        """Return the model, which its variants share, with the prompts for its task and for documents with titles.

        Raises:
            ModelError: it cannot be loaded.
        """
        loaded = self._load(named.base, self.dtype(named, data))
        prompted = named.task or named.titled
        return loaded.with_prompts(named.prompts) if prompted and isinstance(loaded, InstructedEncoder) else loaded

    def encoder(self, named: NamedModel, data: Data) -> Encoder:
        """Return the model, which must make vectors.

        Raises:
            ModelError: it cannot be loaded, or makes no vectors.
        """
        return _encoder(named, self.model(named, data))

    def failed_model(self, error: Exception) -> str:
        """Return the name of the model that did not load with this very error; "" if it is another error."""
        return next((base.alias for (base, _), kept in self._failed.items() if kept is error), "")

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Keep the model in memory while another one is loaded; the other one is dropped afterwards."""
        loaded = self._loaded
        try:
            yield
        finally:
            self.say_notes()
            self._loaded = loaded

    def dtype(self, named: NamedModel, data: Data) -> str:
        """Return the number format of the model on this dataset; empty if its files or its server decide.

        With ``auto`` this may load the model in several formats.
        """
        default = default_dtype(named, self.device, self.sources)
        if self._chosen_dtype != AUTO:
            return self._chosen_dtype or default
        # Only such models have a choice of formats, and only texts can decide it.
        if not default or named.spec.kind != "sentence-transformers" or data is None:
            return default
        dataset = data()
        key = named.base, dataset.fingerprint
        if key not in self._dtypes:
            self._dtypes[key] = self._choose(named.base, dataset, default)
        return self._dtypes[key]

    def budget(self, model: Model) -> Budget:
        """Return the token budget of the model's batches, one for everything that it encodes in this session."""
        own = model.limits.tokens if isinstance(model, ServedEncoder) else None
        kind = model.facts.device.partition(":")[0]
        default = DEFAULT_BATCH_TOKENS.get(kind, DEFAULT_BATCH_TOKENS["cpu"])
        # Trying budgets pays only for a model that runs batches side by side in this process.
        if self._batch_tokens or own or not isinstance(model, ParallelEncoder) or not self._loaded:
            return Budget(self._batch_tokens or own or default)
        key = self._key(self._loaded.base, self._loaded.dtype, model.facts.attention)
        if key not in self._budgets:
            remembered = self._tuning.batch_tokens(key)
            self._budgets[key] = Budget(
                remembered or default,
                () if remembered else CANDIDATE_BATCH_TOKENS.get(kind, ()),
                lambda tokens: self._tuning.keep_batch_tokens(key, tokens),
            )
        return self._budgets[key]

    def say_notes(self) -> None:
        """Pass on what the model in memory has to tell since the last call, e.g. which batches its server refused."""
        if self._loaded and isinstance(self._loaded.model, ServedEncoder):
            for note in self._loaded.model.pace.take_notes():
                self._say(f"{self._loaded.base.alias}: {note}")

    def _load(self, base: NamedModel, dtype: str) -> Model:
        if self._loaded is None or self._loaded[:2] != (base, dtype):
            self.say_notes()
            self._loaded = None  # dropped first: two models at once may not fit into memory
            # A failure is kept, so that every check of the model reports it without loading again.
            if error := self._failed.get((base, dtype)):
                raise error
            started = time.perf_counter()
            try:
                model = load_model(base, device=self.device, dtype=dtype, memory=self._tuning, sources=self.sources)
            except Exception as error:
                self._failed[base, dtype] = error
                raise
            for notice in model.facts.notices:
                self._say(f"{base.alias}: {notice}")
            if model.facts.device == "cpu" and not model.facts.backend:
                self._say(f"this machine: {describe_cpu_paths()}")
            self._loaded = Loaded(base, dtype, model, time.perf_counter() - started)
        return self._loaded.model

    def _choose(self, base: NamedModel, dataset: Dataset, reference: str) -> str:
        software = hash_parts(dict(self.sources.locate(base).software))
        key = self._key(base, base.alias, dataset.name, dataset.fingerprint, f"software {software[:16]}")
        choice = self._tuning.dtype(key)
        if choice is None:
            # A format that the hardware does not support is never faster, so it is not tried.
            formats = fast_dtypes(self.device)
            choice = choose(
                base.alias, dataset, reference, formats, lambda dtype: _encoder(base, self._load(base, dtype))
            )
            self._tuning.keep_dtype(key, choice)
        self._say(f"{base.alias} on {dataset.name}: {AUTO} chose {choice}")
        return choice.dtype

    def _key(self, base: NamedModel, *more: str) -> str:
        """Return the key of a finding: this machine and its threads, the model's files, torch's version, and more."""
        import torch

        # Everything on which speed or vectors depend: a finding made under other conditions must not be used.
        parts = (
            hardware_name(self.device),
            f"{torch.get_num_threads()} threads",
            self.sources.locate(base).fingerprint[:32],
        )
        versions = library_versions()
        return " | ".join([*parts, f"torch {versions.get('torch')}", *more])


def _encoder(named: NamedModel, model: Model) -> Encoder:
    if not isinstance(model, Encoder):
        raise ModelError(f"model {named.alias!r} makes no vectors")
    return model
