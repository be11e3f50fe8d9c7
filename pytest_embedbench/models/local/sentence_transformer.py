"""Local models of sentence-transformers' kind: roles, prompts and facts over a network that is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import torch

from pytest_embedbench.datasets.types import Role
from pytest_embedbench.errors import ModelError
from pytest_embedbench.machine import threads as cores
from pytest_embedbench.models.backend import Backend, backend
from pytest_embedbench.models.checkpoint import declared_prompt
from pytest_embedbench.models.local.plain_network import plain_network
from pytest_embedbench.models.protocol import ModelFacts, PreparedText, spoken
from pytest_embedbench.models.source import checkpoint_dtype

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pytest_embedbench.models.local.network import Network
    from pytest_embedbench.models.local.remembered import Memory
    from pytest_embedbench.models.protocol import Vectors
    from pytest_embedbench.models.spec import NamedModel

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def _network(
    model: NamedModel, folder: Path, how: Backend, dtype: torch.dtype | None, memory: Memory | None, *, packed: bool
) -> Network:
    """Load the checkpoint: with transformers alone where that is the same, else with sentence-transformers."""
    packed = packed and torch.device(how.device).type in {"cpu", "cuda"}
    if how.device == "cpu" and packed and dtype is not None and not model.spec.trust_remote_code:
        plain = plain_network(folder, dtype, model.spec.max_seq_length, memory)
        if plain:
            return plain
    try:
        from pytest_embedbench.models.local.library_network import Library
    except ImportError as error:
        raise ModelError(f"model {model.alias!r} needs sentence-transformers: {error}") from error
    network = Library(model, folder, how, dtype)
    if packed:
        network.pack()
    return network


class SentenceTransformerModel:
    """An ``Encoder`` over a checkpoint of sentence-transformers' kind.

    Its batches have no padding where the model allows that and ``packed`` does not forbid it. What takes long
    to read of its settings is kept in ``memory``, and taken from it.
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
        how = Backend(device, {"dtype": DTYPES.get(dtype), "use_safetensors": True}, ())
        if spec.backend != "torch":
            how, dtype = backend(model, folder, device, dtype), ""
        self._network = _network(model, folder, how, DTYPES.get(dtype), memory, packed=packed)
        self._prompt_with(model.prompts)
        notices = (*how.notices, self._widened(folder, device, dtype), self._network.notice)
        self._facts = ModelFacts(
            parameters=self._parameters() or None,
            dtype=dtype,
            device=how.device,
            prompts=spoken(self._prompts),
            notices=tuple(filter(None, notices)),
            backend="" if spec.backend == "torch" else spec.backend,
            trust_remote_code=spec.trust_remote_code,
            **self._network.facts,
        )

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def with_prompts(self, prompts: Mapping[Role, str | None]) -> SentenceTransformerModel:
        """This model under other prompts; the weights are shared."""
        told = copy(self)
        told._prompt_with(prompts)  # noqa: SLF001 - our own class's
        told._facts = msgspec.structs.replace(self._facts, prompts=spoken(told._prompts))  # noqa: SLF001 - our own class's
        return told

    @property
    def workers(self) -> int:
        """Batches that may run at once; on a GPU one, since it is busy with that."""
        return cores.workers() if self._facts.device == "cpu" and not self._facts.backend else 1

    def side_by_side(self) -> AbstractContextManager[Executor]:
        return cores.side_by_side()

    def _prompt_with(self, prompts: Mapping[Role, str | None]) -> None:
        self._prompts = {
            role: declared_prompt(self._network.declared, role) if chosen is None else chosen
            for role, chosen in prompts.items()
        }
        # Only pooling that leaves the prompt out looks at this; it counts the leading special token too.
        self._prompt_lengths = {
            role: self._network.prompt_length(prompt) for role, prompt in self._prompts.items() if prompt
        }

    def _parameters(self) -> int:
        return sum(parameter.numel() for parameter in self._network.parameters())

    def _widened(self, folder: Path, device: str, dtype: str) -> str:
        """Says so where the weights take more memory than the checkpoint's."""
        own = checkpoint_dtype(folder)
        if device != "cpu" or dtype != "fp32" or own in {"", "fp32"}:
            return ""
        size = self._parameters() * 4 / 1e9
        loaded = f"its weights are {own} and are loaded as fp32 ({size:.1f} GB), which is exact on a CPU"
        return f"{loaded}; --embed-dtype {own} keeps them"

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        """Tokenize in bulk with the role's prompt in front, truncated at the model's maximal length."""
        return self._network.prepare(texts, self._prompts[role])

    @torch.inference_mode()
    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        """Vectors of the batch, shape (texts, dimensions), float32."""
        vectors = self._network.vectors(batch, self._prompt_lengths.get(role))
        if self._facts.normalized and vectors.dtype != torch.float32:
            # Normalize in 16 bits leaves lengths up to 0.4% from 1, and inner products with them.
            vectors = torch.nn.functional.normalize(vectors.float(), dim=1)
        return np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)
