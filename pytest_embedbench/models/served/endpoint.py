"""Models behind an OpenAI-compatible ``/v1/embeddings``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from copy import copy
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from pytest_embedbench.core.batching import batches
from pytest_embedbench.datasets.types import Role
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import SERVED, Answered, Limits, ModelFacts, PreparedText, spoken
from pytest_embedbench.models.sample_texts import PROBE, UNIT
from pytest_embedbench.models.served.requests import answers
from pytest_embedbench.models.served.token_counts import Sent, counter
from pytest_embedbench.models.served.wire import Wire, fields
from pytest_embedbench.remote.background import BackgroundEndpoint
from pytest_embedbench.remote.client import Reply
from pytest_embedbench.remote.embeddings import EMBEDDINGS_PATH, Embeddings, server_times
from pytest_embedbench.remote.errors import EndpointError
from pytest_embedbench.remote.settings import EndpointSettings

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Vectors
    from pytest_embedbench.models.spec import ModelSpec, NamedModel

CONNECTIONS = 1000
"""The encode loop and the load profiles say themselves how many requests are under way; the client does not limit."""


class _Part(NamedTuple):
    """Texts of a batch that go into one request."""

    places: list[int]
    prepared: list[PreparedText]


class EndpointModel:
    """A ``ServedEncoder``: what it sends is the prompt and the text; the server tokenizes, pools and normalizes.

    Raises:
        ModelError: it does not answer, or not as it should.
        ConfigurationError: the extra is not installed, or the key cannot be sent.
    """

    def __init__(self, model: NamedModel) -> None:
        spec = model.spec
        self._alias, self._spec = model.alias, spec
        self.limits = Limits(texts=spec.batch_texts, tokens=spec.batch_tokens, requests=spec.concurrency)
        self._prompts = _prompts(model.prompts)
        self._counter = counter(model)
        self._endpoint = BackgroundEndpoint(_settings(spec))
        self.probe = self._probe()
        self._facts = ModelFacts(
            dimensions=self.probe.shape[1],
            normalized=bool((np.abs(np.linalg.norm(self.probe, axis=1) - 1) < UNIT).all()),
            max_tokens=spec.max_seq_length or spec.max_tokens,
            device=SERVED,
            prompts=spoken(self._prompts),
        )

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def with_prompts(self, prompts: Mapping[Role, str | None]) -> EndpointModel:
        """This endpoint under other prompts; the connections are shared."""
        told = copy(self)
        told._prompts = _prompts(prompts)  # noqa: SLF001 - our own class's
        told._facts = msgspec.structs.replace(self._facts, prompts=spoken(told._prompts))  # noqa: SLF001 - our own class's
        return told

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        """Put the role's prompt in front and count tokens; with a tokenizer, also cut at ``max_seq_length``."""
        return self._counter.prepare(texts, self._prompts[role])

    def submit(self, batch: Sequence[PreparedText], role: Role) -> Future[Answered]:
        """Send one request with this batch."""
        outcome: Future[Answered] = Future()
        asked = self._ask([text.payload for text in batch], role)

        def finish(done: Future[Reply[Embeddings]]) -> None:
            if done.cancelled():
                outcome.cancel()
                return
            try:
                reply = done.result()
                vectors = self._vectors(reply.value, len(batch), self.probe.shape[1])
                texts = self._counter.counted(batch, reply.value.tokens)
                outcome.set_result(Answered(vectors, texts, server_times(reply.headers)))
            except EndpointError as error:
                outcome.set_exception(ModelError(f"model {self._alias!r}: {error}"))
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                outcome.set_exception(error)

        outcome.add_done_callback(lambda done: asked.cancel() if done.cancelled() else None)
        asked.add_done_callback(finish)
        return outcome

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        """Vectors of the batch, shape (texts, dimensions), float32; in as many requests as the limits ask for."""
        vectors = np.empty((len(batch), self.probe.shape[1]), np.float32)
        plan = batches([text.length for text in batch], lambda: self.limits.tokens, self.limits.texts)
        parts = (_Part(places, [batch[place] for place in places]) for places in plan)
        for part, answer in answers(self, parts, role):
            vectors[part.places] = answer.vectors
        return vectors

    def _ask(self, texts: Sequence[Sent], role: Role) -> Future[Reply[Embeddings]]:
        return self._endpoint.submit(EMBEDDINGS_PATH, fields(self._spec, texts, role), Embeddings)

    def wire(self) -> Wire:
        """For load clients that bring their own connections."""
        return Wire(self._alias, self._spec, _settings(self._spec), self._counter, self.probe.shape[1])

    def _probe(self) -> Vectors:
        try:
            reply = self._ask([Sent(text, 0) for text in PROBE], "document").result()
            vectors = self._vectors(reply.value, len(PROBE))
        except EndpointError as error:
            raise ModelError(f"model {self._alias!r}: {error}") from None
        if self._spec.dimensions not in {None, vectors.shape[1]}:
            message = f"{self._spec.dimensions} dimensions were asked for, {vectors.shape[1]} came"
            fix = f"leave dimensions out and cut them here, as {self._alias}@dim={self._spec.dimensions}"
            raise ModelError(f"model {self._alias!r}: {message}\n  fix: {fix}")
        return vectors

    def _vectors(self, said: Embeddings, count: int, dimensions: int | None = None) -> Vectors:
        try:
            return said.vectors(count, dimensions)
        except EndpointError as error:
            raise EndpointError(f"{self._spec.url}: {error}") from None

    def close(self) -> None:
        """Close the connections; requests under way are cancelled."""
        self._endpoint.close()


def _prompts(prompts: Mapping[Role, str | None]) -> dict[Role, str]:
    return {role: prompt or "" for role, prompt in prompts.items()}


def _settings(spec: ModelSpec) -> EndpointSettings:
    return EndpointSettings(
        url=spec.url,
        api_key_env=spec.api_key_env,
        timeout=spec.timeout,
        retries=spec.retries,
        concurrency=CONNECTIONS,
    )


def endpoint_fingerprint(model: NamedModel) -> str:
    """What stands for the model's weights, which nobody here can see: sha256 of what is asked for and who answers.

    With a ``revision`` in the definition that is taken on trust. Without one, the vectors of ``PROBE`` go in, bit for
    bit: where another model answers under the same name, or the same one computes otherwise, nothing stored is used
    again. Where a server's arithmetic does not repeat itself, nothing ever is, unless there is a ``revision``.

    Raises:
        ModelError, ConfigurationError: as ``EndpointModel``.
    """
    spec = model.spec
    asked: list[object] = [spec.url.rstrip("/"), spec.model, spec.dimensions, spec.revision]
    if any(spec.request_fields.values()):
        asked.append(spec.request_fields)
    digest = hashlib.sha256(msgspec.json.encode(asked))
    if not spec.revision:
        endpoint = EndpointModel(model)
        endpoint.close()
        digest.update(np.ascontiguousarray(endpoint.probe, "<f4").tobytes())
    return digest.hexdigest()
