"""What the encode loop and the load profiles need of a model; every kind of model fits behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from pytest_embedbench.datasets.types import Role
from pytest_embedbench.errors import ModelError

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from pytest_embedbench.core.runs import Run
    from pytest_embedbench.datasets.types import Dataset

    Vectors = NDArray[np.float32]

SERVED = "endpoint"
"""What the facts of a model that runs elsewhere give as its device."""


class PreparedText(NamedTuple):
    """A text ready for the device, after tokenization and truncation.

    ``payload`` is what the model's ``forward`` takes; ``length`` counts all tokens that the model processes
    (prompt and special tokens included, padding not); ``own_tokens`` counts the text's own.
    """

    payload: Any
    length: int
    own_tokens: int


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a loaded model says of itself; goes into every result."""

    architecture: str = ""
    parameters: int | None = None
    dimensions: int | None = None
    """Of a vector as it is used: of a variant, those that are kept."""
    normalized: bool = False
    """Do all vectors have length 1?"""
    precision: str = ""
    """What a stored vector's dimensions are: ``float32``, ``int8``, ``binary``; empty where there are no vectors."""
    bytes_per_vector: int | None = None
    max_tokens: int | None = None
    pooling: str = ""
    padding_side: str = ""
    attention: str = ""
    """The attention kernel in use, e.g. ``sdpa``."""
    dtype: str = ""
    device: str = ""
    """As torch names it: ``cpu``, ``cuda:1``; ``endpoint`` where a server runs it, on what only the server knows."""
    prompts: dict[str, str] = {}
    trust_remote_code: bool = False
    backend: str = ""
    """What runs a local model where it is not torch: ``onnx``, ``openvino``."""
    notices: tuple[str, ...] = ()
    """What its user should know of how it was loaded."""

    @property
    def pads(self) -> bool:
        """Are texts of a batch padded to the longest? Not where all are in one row: packed, or of a static model."""
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
        """Vectors of one batch, shape (texts, dimensions), float32, in the batch's order."""
        ...


@runtime_checkable
class Instructed(Encoder, Protocol):
    """An ``Encoder`` whose prompts may speak of the task."""

    def with_prompts(self, prompts: Mapping[Role, str | None]) -> Encoder:
        """The same weights under other prompts; None stands for what the checkpoint declares."""
        ...


@runtime_checkable
class ParallelEncoder(Encoder, Protocol):
    """An ``Encoder`` that may run several batches at once on this machine."""

    @property
    def workers(self) -> int:
        """How many; 1 is one by one."""
        ...

    def side_by_side(self) -> AbstractContextManager[Executor]:
        """The threads that they run in."""
        ...


class Limits(NamedTuple):
    """What one request to a server may hold (tokens with padding), and how many requests may be under way."""

    texts: int
    tokens: int
    requests: int


class Answered(NamedTuple):
    """A batch's vectors, shape (texts, dimensions), float32, and its texts with their tokens as counted by now."""

    vectors: Vectors
    texts: Sequence[PreparedText]
    server_ms: Mapping[str, float]
    """What a server says of its own time: milliseconds by name."""


@runtime_checkable
class ServedEncoder(Encoder, Protocol):
    """An ``Encoder`` whose model runs elsewhere: several batches may be under way at once."""

    limits: Limits

    def submit(self, batch: Sequence[PreparedText], role: Role) -> Future[Answered]:
        """Ask for one batch; the future raises ModelError, and cancelling it stops the request."""
        ...


@runtime_checkable
class Retriever(Protocol):
    """A model that ranks documents without vectors, as BM25 does."""

    @property
    def facts(self) -> ModelFacts: ...

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Run:
        """Rank the corpus for these queries, at most ``depth`` documents each."""
        ...


Model = Encoder | Retriever


def spoken(prompts: Mapping[Role, str]) -> dict[str, str]:
    """The prompts that there are, as facts say them."""
    return {role: prompt for role, prompt in prompts.items() if prompt}


def refuse_broken(vectors: Vectors, texts: Sequence[str], role: Role) -> None:
    """Check what a model gave for these texts.

    Raises:
        ModelError: too few or too many vectors, or one that holds NaN or infinity; the message names its text.
    """
    if len(vectors) != len(texts):
        raise ModelError(f"the model gave {len(vectors)} vectors for {len(texts)} texts")
    if not texts:
        return
    import numpy as np

    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise ModelError(f"the vector of this {role} holds NaN or infinity: {texts[broken[0]][:200]!r}")
