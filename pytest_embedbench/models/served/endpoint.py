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
from pytest_embedbench.core.similarity import DEFAULT_SIMILARITY
from pytest_embedbench.datasets.types import Role
from pytest_embedbench.models.checkpoint import TokenCounter, served_token_counter
from pytest_embedbench.models.libraries import software
from pytest_embedbench.models.protocol import (
    SERVED_DEVICE,
    AnsweredBatch,
    Limits,
    ModelFacts,
    PreparedText,
    without_empty,
)
from pytest_embedbench.models.registry import LoadOptions, ModelKind, SourceCache
from pytest_embedbench.models.sample_texts import ORDINARY_WORDS, UNIT_LENGTH_TOLERANCE
from pytest_embedbench.models.served.pace import Pace
from pytest_embedbench.models.served.recognition import recognise
from pytest_embedbench.models.served.refusals import too_long_fix
from pytest_embedbench.models.served.requests import RequestError, answers
from pytest_embedbench.models.served.token_counts import (
    CUTTING_LIBRARIES,
    SentText,
    cutting_tokenizer,
    request_token_counter,
)
from pytest_embedbench.models.served.wire import Wire, request_fields
from pytest_embedbench.models.source import ModelSource
from pytest_embedbench.models.spec import patience_seconds
from pytest_embedbench.remote.background import BackgroundEndpoint
from pytest_embedbench.remote.client import Reply
from pytest_embedbench.remote.embeddings import EMBEDDINGS_PATH, Embeddings, server_times
from pytest_embedbench.remote.errors import EndpointError
from pytest_embedbench.remote.settings import EndpointSettings
from pytest_embedbench.remote.usage import server_count

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Vectors
    from pytest_embedbench.models.spec import ModelSpec, NamedModel

MAX_CONNECTIONS = 1000
"""Connections; more than any caller opens, since the encode loop and load profiles limit the requests in flight."""


class _RequestPart(NamedTuple):
    """Texts of a batch that go into one request, with their positions in the batch."""

    positions: list[int]
    prepared: list[PreparedText]

    @property
    def texts(self) -> list[str]:
        return [text.payload.text[text.payload.prompt :] for text in self.prepared]

    def part(self, positions: Sequence[int]) -> _RequestPart:
        """Return only the texts at these positions of the part."""
        return _RequestPart(
            [self.positions[position] for position in positions], [self.prepared[position] for position in positions]
        )


class EndpointModel:
    """A ``ServedEncoder``: sends prompt and text; the server tokenizes, pools and normalizes.

    Args:
        model: the model.
        pace: what its server has shown to take earlier in this session; None if nothing is known.

    Raises:
        ModelError: the endpoint does not answer, or not as it should.
        ConfigurationError: the extra is not installed, or the key cannot be sent.
    """

    def __init__(self, model: NamedModel, pace: Pace | None = None) -> None:
        spec = model.spec
        self._alias, self._spec = model.alias, spec
        self.where = f"model {model.alias!r}"
        self.limits = Limits(texts=spec.batch_texts, tokens=spec.batch_tokens, requests=spec.concurrency)
        self.pace = pace or new_pace(spec)
        self._prompts = _prompts(model.prompts)
        self._counter = request_token_counter(model)
        self._endpoint = BackgroundEndpoint(_settings(spec))
        self._dimensions: int | None = None
        self._recognised = False
        self.sample_vectors = recognise(self, spec)
        self._recognised = True
        self._facts = ModelFacts(
            dimensions=self.sample_vectors.shape[1],
            normalized=bool((np.abs(np.linalg.norm(self.sample_vectors, axis=1) - 1) < UNIT_LENGTH_TOLERANCE).all()),
            similarity=spec.similarity or DEFAULT_SIMILARITY,
            max_tokens=spec.max_seq_length or spec.max_tokens,
            device=SERVED_DEVICE,
            prompts=without_empty(self._prompts),
        )

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def with_prompts(self, prompts: Mapping[Role, str | None]) -> EndpointModel:
        """Return this endpoint under other prompts; the connections are shared."""
        prompted = copy(self)
        prompted._prompts = _prompts(prompts)  # noqa: SLF001 - our own class's
        facts = msgspec.structs.replace(self._facts, prompts=without_empty(prompted._prompts))  # noqa: SLF001 - our own class's
        prompted._facts = facts  # noqa: SLF001 - our own class's
        return prompted

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        """Put the role's prompt in front and count tokens; with a tokenizer, also cut at ``max_seq_length``."""
        return self._counter.prepare(texts, self._prompts[role])

    def prepare_plain(self, texts: Sequence[str]) -> list[PreparedText]:
        """Count tokens, and cut, without any prompt."""
        return self._counter.prepare(texts, "")

    def stand_in(self, text: PreparedText, characters: int) -> PreparedText:
        filler = (" ".join(ORDINARY_WORDS) + " ") * (characters // len(ORDINARY_WORDS) + 1)
        return PreparedText(SentText(filler[:characters], 0), text.length, text.own_tokens)

    def too_long_fix(self, message: str) -> str:
        return too_long_fix(self._spec, message)

    def submit(
        self, batch: Sequence[PreparedText], role: Role, *, tries: int | None = None, unsent: Sequence[str] = ()
    ) -> Future[AnsweredBatch]:
        """Send one request with this batch; ``unsent`` names further fields that are left out of it."""
        several = len(batch) > 1
        tries = tries or (2 if several else None)
        outcome: Future[AnsweredBatch] = Future()
        fields = request_fields(self._spec, [text.payload for text in batch], role)
        body = {field: value for field, value in fields.items() if field not in unsent}
        sending = self.pace.sending()
        request = self._endpoint.submit(EMBEDDINGS_PATH, body, Embeddings, divisible=several, tries=tries)

        def finish(done: Future[Reply[Embeddings]]) -> None:
            in_flight = self.pace.ended(sending)
            if done.cancelled():
                outcome.cancel()
                return
            try:
                reply = done.result()
                vectors = self._vectors(reply.value, len(batch))
                self.pace.answered(len(batch), reply.seconds, in_flight)
                # The texts by which the model is recognised say little of the tokens of others.
                count = server_count(reply.value.usage, reply.headers)
                texts = self._counter.counted(batch, count) if self._recognised else batch
                outcome.set_result(AnsweredBatch(vectors, texts, server_times(reply.headers)))
            except EndpointError as error:
                outcome.set_exception(RequestError(error, where=self.where))
            except BaseException as error:  # noqa: BLE001 - raised where the future is awaited
                outcome.set_exception(error)

        # Cancelling works both ways: from the caller to the request, and (in finish) back when the client closes.
        outcome.add_done_callback(lambda done: request.cancel() if done.cancelled() else None)
        request.add_done_callback(finish)
        return outcome

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        """Return the batch's vectors, shape (texts, dimensions), float32, by as many requests as the limits require."""
        if not batch:
            return np.empty((0, self._dimensions or 0), np.float32)
        plan = batches([text.length for text in batch], lambda: self.limits.tokens, self.limits.texts)
        parts = (_RequestPart(positions, [batch[index] for index in positions]) for positions in plan)
        vectors: Vectors | None = None
        for part, answer in answers(self, parts, role):
            if vectors is None:
                vectors = np.empty((len(batch), answer.vectors.shape[1]), np.float32)
            vectors[part.positions] = answer.vectors
        assert vectors is not None  # noqa: S101 - there are texts, and each has a vector
        return vectors

    def wire(self) -> Wire:
        """Return requests and answers as bytes, for load clients that bring their own connections."""
        return Wire(
            self._alias, self._spec, _settings(self._spec), self._counter, self.pace, self.sample_vectors.shape[1]
        )

    def _vectors(self, embeddings: Embeddings, count: int) -> Vectors:
        try:
            vectors = embeddings.vectors(count, self._dimensions, in_order=self.pace.in_order)
        except EndpointError as error:
            error.where = self._spec.url
            raise
        self._dimensions = self._dimensions or vectors.shape[1]
        return vectors

    def close(self) -> None:
        """Close the connections; requests in flight are cancelled."""
        self._endpoint.close()


def new_pace(spec: ModelSpec) -> Pace:
    """Return the pace of a server of which nothing is known but its definition."""
    return Pace(spec.batch_texts, spec.concurrency, spec.timeout)


def _prompts(prompts: Mapping[Role, str | None]) -> dict[Role, str]:
    return {role: prompt or "" for role, prompt in prompts.items()}


def _settings(spec: ModelSpec) -> EndpointSettings:
    return EndpointSettings(
        url=spec.url,
        api_key_env=spec.api_key_env,
        query=spec.query,
        headers=spec.headers,
        timeout=spec.timeout,
        patience=patience_seconds(spec.patience),
        requests_per_minute=spec.requests_per_minute,
        retries=spec.retries,
        concurrency=MAX_CONNECTIONS,
    )


def endpoint_fingerprint(model: NamedModel) -> str:
    """Return a digest that stands for the model's weights, which cannot be seen from here.

    It is the sha256 of the address, the request's fields, the tokenizer that cuts texts before they are sent, and the
    ``revision``, which is taken to identify the weights.
    Without a revision, the digest also covers the vectors of ``SAMPLE_TEXTS``, bit for bit: where another model answers
    under the same name, or the same model computes otherwise, nothing stored is used again. The results of a server
    whose vectors differ from call to call are therefore never used again without a ``revision``.

    Raises:
        ModelError, ConfigurationError: as ``EndpointModel``.
    """
    spec = model.spec
    identity: list[object] = [spec.url.rstrip("/"), spec.model, spec.dimensions, spec.revision]
    # Only where there are some, so that older fingerprints of models without them still hold.
    if any(spec.request_fields.values()):
        identity.append(spec.request_fields)
    if tokenizer := cutting_tokenizer(model):
        identity.append(tokenizer)
    # Of secrets, the names of their variables.
    if spec.query or spec.headers:
        identity.append([spec.query, spec.headers])
    digest = hashlib.sha256(msgspec.json.encode(identity))
    if not spec.revision:
        endpoint = EndpointModel(model)
        endpoint.close()
        digest.update(np.ascontiguousarray(endpoint.sample_vectors, "<f4").tobytes())
    return digest.hexdigest()


class EndpointKind(ModelKind):
    """Models behind a server's address."""

    def locate(self, model: NamedModel) -> ModelSource:
        libraries = CUTTING_LIBRARIES if model.spec.max_seq_length else ()
        return ModelSource(None, model.spec.revision, endpoint_fingerprint(model), software(libraries))

    def load(self, model: NamedModel, sources: SourceCache, options: LoadOptions) -> EndpointModel:  # noqa: ARG002 - no files
        return EndpointModel(model, sources.paces.setdefault(model.base, new_pace(model.spec)))

    def token_counter(self, model: NamedModel) -> TokenCounter:
        return served_token_counter(model)


KIND = EndpointKind()
