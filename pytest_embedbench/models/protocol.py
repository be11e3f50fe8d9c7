"""Interfaces of models for the encode loop and the load profiles; every kind of model implements one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import msgspec

from pytest_embedbench.core.bounded import Count
from pytest_embedbench.core.similarity import Similarity
from pytest_embedbench.datasets.types import Role
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.text_errors import BROKEN_VECTOR, UnusableText, UnusableTextsError

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from pytest_embedbench.core.runs import Run
    from pytest_embedbench.datasets.types import Dataset
    from pytest_embedbench.models.served.pace import Pace

    Vectors = NDArray[np.float32]

TokenSource = Literal["tokenizer", "usage", "estimate"]
"""Source of a number of tokens: the model's own tokenizer, a server's count of its requests, or characters."""

SERVED_DEVICE = "endpoint"
"""Device in the facts of a model that runs elsewhere."""


class PreparedText(NamedTuple):
    """A text ready for the device, after tokenization and truncation.

    ``length`` counts all tokens that the model processes (prompt and special tokens included, padding not);
    ``own_tokens`` counts those of the text itself. ``counted_by`` says where both numbers are from.
    """

    payload: Any
    """The form in which the model's ``forward`` takes the text."""
    length: int
    own_tokens: int
    counted_by: TokenSource = "tokenizer"


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of a loaded model; part of every result."""

    architecture: str = ""
    parameters: Count | None = None
    dimensions: Count | None = None
    """Dimensions of a vector as it is used; of a variant, only those that are kept."""
    normalized: bool = False
    """Whether all vectors have length 1."""
    similarity: Similarity | Literal[""] = ""
    """The similarity by which documents are ranked; empty where there are no vectors."""
    precision: str = ""
    """Number format of a stored vector: ``float32``, ``int8``, ``binary``; empty where there are no vectors."""
    bytes_per_vector: Count | None = None
    max_tokens: Count | None = None
    pooling: str = ""
    padding_side: str = ""
    attention: str = ""
    """The attention kernel in use, e.g. ``sdpa``."""
    dtype: str = ""
    device: str = ""
    """Device as torch names it: ``cpu``, ``cuda:1``; ``endpoint`` where a server runs it, on unknown hardware."""
    prompts: dict[str, str] = {}
    trust_remote_code: bool = False
    backend: str = ""
    """Library that runs a local model, if not torch: ``onnx``, ``openvino``."""
    notices: tuple[str, ...] = ()
    """Notes for the user on how the model was loaded."""

    @property
    def pads(self) -> bool:
        """Whether texts are padded to the longest of their batch; False for texts in one row (packed, or static)."""
        return not self.attention.endswith("packed") and self.architecture != "StaticEmbedding"


@runtime_checkable
class Encoder(Protocol):
    """A model that turns texts into vectors for a role. ``prepare`` and ``forward`` may run in many threads."""

    @property
    def facts(self) -> ModelFacts: ...

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        """Tokenize in bulk, apply the role's prompt, cut at the maximal length."""
        ...

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        """Return the vectors of one batch, shape (texts, dimensions), float32, in the batch's order."""
        ...


@runtime_checkable
class InstructedEncoder(Encoder, Protocol):
    """An ``Encoder`` that can be given other prompts, e.g. ones that name a dataset's task."""

    def with_prompts(self, prompts: Mapping[Role, str | None]) -> Encoder:
        """Return the same weights under other prompts; None stands for the prompt that the checkpoint declares."""
        ...


@runtime_checkable
class ParallelEncoder(Encoder, Protocol):
    """An ``Encoder`` that may run several batches at once on this machine."""

    @property
    def workers(self) -> int:
        """Number of batches at once, at most; 1 for one after the other."""
        ...

    def side_by_side(self) -> AbstractContextManager[Executor]:
        """Yield the pool of threads that the batches run in."""
        ...


class Limits(NamedTuple):
    """Upper limits of one request to a server, and of the number of requests in flight."""

    texts: int
    """Texts of one request."""
    tokens: int
    """Tokens of one request, padding included."""
    requests: int
    """Requests in flight."""


class AnsweredBatch(NamedTuple):
    """A batch's vectors, and its texts with the token counts of the server, where it counts tokens."""

    vectors: Vectors
    """Shape (texts, dimensions), float32."""
    texts: Sequence[PreparedText]
    server_ms: Mapping[str, float]
    """Name -> milliseconds, as a server reports its own times."""


@runtime_checkable
class ServedEncoder(Encoder, Protocol):
    """An ``Encoder`` whose model runs elsewhere: several batches may be in flight at once."""

    limits: Limits
    pace: Pace
    """What the server has shown to take, within the limits."""
    where: str
    """Name of the model in errors."""

    def submit(self, batch: Sequence[PreparedText], role: Role, *, tries: int | None = None) -> Future[AnsweredBatch]:
        """Send one batch; the future raises ModelError on failure, and cancelling it stops the request.

        Args:
            batch: the texts.
            role: their role.
            tries: how often a batch that the server fails on (HTTP 500) is sent, at most; None for the usual number.
        """
        ...

    def stand_in(self, text: PreparedText, characters: int) -> PreparedText:
        """Return an ordinary text of this length, to see whether a server refuses the other one for its length."""
        ...

    def too_long_fix(self, message: str) -> str:
        """Return what to do about texts that the server refuses as too long, with this message."""
        ...


@runtime_checkable
class TransformerEncoder(Encoder, Protocol):
    """An ``Encoder`` whose transformer can be looked into."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings of the transformer, as its ``config.json`` names them; empty if there is none."""
        ...

    def token_states(self, text: PreparedText) -> Vectors | None:
        """Return the states of a text's tokens after the last layer, shape (tokens, width); None if it has none."""
        ...


@runtime_checkable
class ForeignEncoder(Encoder, Protocol):
    """An ``Encoder`` that may run code of others, such as a Python function."""

    @property
    def foreign(self) -> bool:
        """Whether the vectors come from code of others, so that a sample of them is verified before they are kept."""
        ...


def is_foreign(model: Encoder) -> bool:
    """Whether a model's vectors come from a server or from a function, whose batches may go wrong unseen."""
    return isinstance(model, ServedEncoder) or (isinstance(model, ForeignEncoder) and model.foreign)


@runtime_checkable
class Retriever(Protocol):
    """A model that ranks documents without vectors, as BM25 does."""

    @property
    def facts(self) -> ModelFacts: ...

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Run:
        """Rank the corpus for these queries, at most ``depth`` documents each."""
        ...


Model = Encoder | Retriever


def without_empty(prompts: Mapping[Role, str]) -> dict[str, str]:
    """Return the prompts that are not empty, as facts name them."""
    return {role: prompt for role, prompt in prompts.items() if prompt}


def check_vectors(vectors: Vectors, texts: Sequence[str], role: Role) -> None:
    """Check a model's vectors of these texts.

    Raises:
        UnusableTextsError: vectors hold NaN or infinity; the message names their texts.
        ModelError: there are too few or too many vectors.
    """
    if len(vectors) != len(texts):
        raise ModelError(f"the model gave {len(vectors)} vectors for {len(texts)} texts")
    if not texts:
        return
    # Imported here, since many modules read this one only for its types.
    import numpy as np

    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise UnusableTextsError([UnusableText(texts[row], BROKEN_VECTOR) for row in broken.tolist()], role)
