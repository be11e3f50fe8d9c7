"""Local models of sentence-transformers' kind: roles, prompts and facts around a loaded network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import torch

from pytest_embedbench.core.similarity import DEFAULT_SIMILARITY
from pytest_embedbench.datasets.types import ROLES, Role
from pytest_embedbench.errors import ModelError
from pytest_embedbench.machine import threads
from pytest_embedbench.models.backend import Backend, find_backend
from pytest_embedbench.models.checkpoint import declared_similarity
from pytest_embedbench.models.local.plain_network import plain_network
from pytest_embedbench.models.prompts import declaration_notice, declared_prompt
from pytest_embedbench.models.protocol import ModelFacts, PreparedText, without_empty
from pytest_embedbench.models.source import checkpoint_dtype

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pytest_embedbench.models.local.network import Network
    from pytest_embedbench.models.local.settings_cache import Memory
    from pytest_embedbench.models.protocol import Vectors
    from pytest_embedbench.models.spec import NamedModel

TORCH_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def _network(
    model: NamedModel, folder: Path, backend: Backend, dtype: torch.dtype | None, memory: Memory | None, *, packed: bool
) -> Network:
    """Load the checkpoint: without sentence-transformers where that gives the same vectors, otherwise with it."""
    # There is attention over a row of texts for these devices only; elsewhere (MPS) batches are padded.
    packed = packed and torch.device(backend.device).type in {"cpu", "cuda"}
    if backend.device == "cpu" and packed and dtype is not None and not model.spec.trust_remote_code:
        plain = plain_network(folder, dtype, model.spec.max_seq_length, memory)
        if plain:
            return plain
    try:
        from pytest_embedbench.models.local.library_network import LibraryNetwork
    except ImportError as error:
        raise ModelError(f"needs sentence-transformers: {error}", where=f"model {model.alias!r}") from error
    network = LibraryNetwork(model, folder, backend, dtype)
    if packed:
        network.pack()
    return network


class SentenceTransformerModel:
    """An ``Encoder`` over a checkpoint of sentence-transformers' kind.

    Args:
        model: its definition, for prompts and limits.
        folder: the checkpoint.
        device: as torch names it.
        dtype: number format, e.g. ``bf16``; empty where the files of another backend decide.
        packed: whether batches may go without padding, where the model allows it.
        memory: keeps what takes long to read of the checkpoint's settings; None to keep nothing.

    Raises:
        ModelError: the checkpoint does not load, or a library is missing.
    """

    def __init__(
        self,
        model: NamedModel,
        folder: Path,
        *,
        device: str,
        dtype: str,
        packed: bool = True,
        memory: Memory | None = None,
    ) -> None:
        spec = model.spec
        # Safetensors only: pickled weights can run code when they are loaded.
        backend = Backend(device, {"dtype": TORCH_DTYPES.get(dtype), "use_safetensors": True}, ())
        if spec.backend != "torch":
            backend, dtype = find_backend(model, folder, device, dtype), ""
        self._network = _network(model, folder, backend, TORCH_DTYPES.get(dtype), memory, packed=packed)
        self._by_role: dict[Role, Network] = {role: self._network.for_role(role) for role in ROLES}
        self._prompt_with(model.prompts)
        network = self._network
        notices = (
            *backend.notices,
            self._widening_notice(folder, device, dtype),
            network.notice,
            declaration_notice(network.declared, network.default_prompt_name, model.prompts),
        )
        self._facts = ModelFacts(
            parameters=self._parameters() or None,
            dtype=dtype,
            device=backend.device,
            prompts=without_empty(self._prompts),
            notices=tuple(filter(None, notices)),
            backend="" if spec.backend == "torch" else spec.backend,
            trust_remote_code=spec.trust_remote_code,
            similarity=spec.similarity or declared_similarity(folder) or DEFAULT_SIMILARITY,
            **self._network.facts,
        )

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def with_prompts(self, prompts: Mapping[Role, str | None]) -> SentenceTransformerModel:
        """Return this model under other prompts; the weights are shared."""
        prompted = copy(self)
        prompted._prompt_with(prompts)  # noqa: SLF001 - our own class's
        facts = msgspec.structs.replace(self._facts, prompts=without_empty(prompted._prompts))  # noqa: SLF001 - our own class's
        prompted._facts = facts  # noqa: SLF001 - our own class's
        return prompted

    @property
    def workers(self) -> int:
        """Number of batches that may run at once; 1 on a GPU, which one batch keeps busy."""
        return threads.workers() if self._facts.device == "cpu" and not self._facts.backend else 1

    def side_by_side(self) -> AbstractContextManager[Executor]:
        return threads.side_by_side()

    def _prompt_with(self, prompts: Mapping[Role, str | None]) -> None:
        self._prompts = {
            role: declared_prompt(self._network.declared, role) if prompt is None else prompt
            for role, prompt in prompts.items()
        }
        # Only pooling that leaves the prompt out uses these lengths, which include the leading special token.
        self._prompt_lengths = {
            role: self._by_role[role].prompt_length(prompt) for role, prompt in self._prompts.items() if prompt
        }

    def _parameters(self) -> int:
        return sum(parameter.numel() for parameter in self._network.parameters())

    def _widening_notice(self, folder: Path, device: str, dtype: str) -> str:
        """Return a note where the weights take more memory than in the checkpoint; otherwise empty."""
        own = checkpoint_dtype(folder)
        if device != "cpu" or dtype != "fp32" or own in {"", "fp32"}:
            return ""
        size = self._parameters() * 4 / 1e9
        problem = f"its weights are {own} and are loaded as fp32 ({size:.1f} GB), which is exact on a CPU"
        return f"{problem}; --embed-dtype={own} keeps them"

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        """Tokenize in bulk with the role's prompt in front, truncated at the model's maximal length."""
        return self._by_role[role].prepare(texts, self._prompts[role])

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings of the transformer, as its ``config.json`` names them; empty if there is none."""
        return self._by_role["document"].settings

    def token_states(self, text: PreparedText) -> Vectors | None:
        """Return the states of a document's tokens, shape (tokens, width), float32; None if there is no transformer."""
        states = self._by_role["document"].states(text)
        return None if states is None else np.asarray(states.float().cpu().numpy(), dtype=np.float32)

    @torch.inference_mode()
    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        """Return the batch's vectors, shape (texts, dimensions), float32."""
        vectors = self._by_role[role].vectors(batch, self._prompt_lengths.get(role))
        if self._facts.normalized and vectors.dtype != torch.float32:
            # Normalizing in 16 bits leaves lengths up to 0.4% from 1, and so inner products that far off.
            vectors = torch.nn.functional.normalize(vectors.float(), dim=1)
        return np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)
