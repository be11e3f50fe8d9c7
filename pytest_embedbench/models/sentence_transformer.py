"""Local sentence-transformers models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize
from transformers.utils import logging

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models import cores
from pytest_embedbench.models.backend import Backend, backend
from pytest_embedbench.models.checkpoint import declared_prompt
from pytest_embedbench.models.first_module import Static, TextTransformer, first_module
from pytest_embedbench.models.packed import Packing, can_pack
from pytest_embedbench.models.probe import PROBE
from pytest_embedbench.models.protocol import ModelFacts, PreparedText, Role, spoken
from pytest_embedbench.models.source import checkpoint_dtype

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pytest_embedbench.models.protocol import Vectors
    from pytest_embedbench.models.spec import NamedModel

PACKED_APART = {"fp32": 1e-4, "fp16": 2e-2, "bf16": 1e-1}
"""How far numbers of a vector may be apart with padding and without, as a share of the largest: rounding, not more."""

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@contextmanager
def _without_bars() -> Iterator[None]:
    """Keep transformers from drawing its own bar while it loads weights: it would stand in failure reports."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


class SentenceTransformerModel:
    """An ``Encoder`` over a SentenceTransformer for texts: a transformer, run by torch or another backend, or static.

    Texts are tokenized once, in bulk; pooling and normalization are the checkpoint's own modules.
    """

    def __init__(self, model: NamedModel, folder: Path, *, device: str, dtype: str) -> None:
        spec = model.spec
        how = Backend(device, {"dtype": DTYPES.get(dtype), "use_safetensors": True}, ())
        if spec.backend != "torch":
            how, dtype = backend(model, folder, device, dtype), ""
        try:
            with _without_bars():
                self._model = SentenceTransformer(
                    str(folder),
                    device=how.device,
                    trust_remote_code=spec.trust_remote_code,
                    local_files_only=True,
                    backend=spec.backend,
                    model_kwargs=how.arguments,
                )
        except Exception as error:
            raise ModelError(f"model {model.alias!r}: {folder} does not load: {error}") from error
        first = first_module(self._model, spec.max_seq_length)
        if first is None:
            message = "its first module is neither a plain text transformer nor a static embedding"
            raise ModelError(f"model {model.alias!r}: {message}")
        if isinstance(first, Static):
            self._model.to(DTYPES[dtype])  # its loader knows of no number formats
        self._model.eval()
        self._first = first
        self._prompt_with(model.prompts)
        told = (*how.notices, self._widened(folder, device, dtype), first.notice)
        facts = self._describe(how.device, dtype, tuple(filter(None, told)))
        backend_name = "" if spec.backend == "torch" else spec.backend
        self._facts = msgspec.structs.replace(facts, backend=backend_name, trust_remote_code=spec.trust_remote_code)
        if how.device == "cpu" and isinstance(first, TextTransformer) and can_pack(self._model):
            self._pack(first, Packing(first.module))

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def with_prompts(self, prompts: Mapping[Role, str | None]) -> SentenceTransformerModel:
        """This model under other prompts; the weights are shared."""
        told = copy(self)
        told._prompt_with(prompts)  # noqa: SLF001 - our own class's
        told._facts = msgspec.structs.replace(self._facts, prompts=spoken(told._prompts))  # noqa: SLF001 - our own class's
        return told

    def _pack(self, first: TextTransformer, packing: Packing) -> None:
        """Leave padding out, unless that changes vectors: a model may do with its inputs what nobody here knows."""
        texts = self.prepare(PROBE, "document")
        padded = self._vectors(texts, "document")
        packing.switch(on=True)
        first.packing = packing
        try:
            apart = np.abs(self._vectors(texts, "document") - padded).max() / np.abs(padded).max()
        except Exception:  # noqa: BLE001 - whatever a model raises on inputs that it does not know
            apart = np.float32(np.inf)
        if not apart < PACKED_APART[self._facts.dtype]:
            self.unpack()
        self._facts = msgspec.structs.replace(self._facts, attention=first.facts["attention"])

    @property
    def workers(self) -> int:
        """Batches that may run at once; on a GPU one, since it is busy with that."""
        return cores.workers() if self._facts.device == "cpu" and not self._facts.backend else 1

    def side_by_side(self) -> AbstractContextManager[Executor]:
        return cores.side_by_side()

    def unpack(self) -> None:
        """Pad batches again."""
        if isinstance(self._first, TextTransformer) and self._first.packing:
            self._first.packing.switch(on=False)
            self._first.packing = None
            self._facts = msgspec.structs.replace(self._facts, attention=self._first.facts["attention"])

    def _prompt_with(self, prompts: Mapping[Role, str | None]) -> None:
        self._prompts = {role: self._prompt(role, prompt) for role, prompt in prompts.items()}
        # Only pooling that leaves the prompt out looks at this; it counts the leading special token too.
        self._prompt_lengths = {
            role: length
            for role, prompt in self._prompts.items()
            if prompt and (length := self._first.prompt_length(prompt))
        }

    def _prompt(self, role: Role, chosen: str | None) -> str:
        return declared_prompt(self._model.prompts, role) if chosen is None else chosen

    def _widened(self, folder: Path, device: str, dtype: str) -> str:
        """Says so where the weights take more memory than the checkpoint's."""
        own = checkpoint_dtype(folder)
        if device != "cpu" or dtype != "fp32" or own in {"", "fp32"}:
            return ""
        size = sum(parameter.numel() for parameter in self._model.parameters()) * 4 / 1e9
        loaded = f"its weights are {own} and are loaded as fp32 ({size:.1f} GB), which is exact on a CPU"
        return f"{loaded}; --embed-dtype {own} keeps them"

    def _describe(self, device: str, dtype: str, notices: tuple[str, ...]) -> ModelFacts:
        pooling = next((str(m.pooling_mode) for m in self._model if hasattr(m, "pooling_mode")), "")
        return ModelFacts(
            parameters=sum(parameter.numel() for parameter in self._model.parameters()) or None,
            dimensions=self._model.get_embedding_dimension(),
            normalized=isinstance(self._model[-1], Normalize) and self._model.truncate_dim is None,
            dtype=dtype,
            device=device,
            prompts=spoken(self._prompts),
            notices=notices,
            **{"pooling": pooling, **self._first.facts},
        )

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        """Tokenize in bulk with the role's prompt in front, truncated at the model's maximal length."""
        return self._first.prepare(texts, self._prompts[role])

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        """Vectors of the batch, shape (texts, dimensions), float32."""
        return self._vectors(batch, role)

    @torch.inference_mode()
    def _vectors(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        features = {key: value.to(self._model.device) for key, value in self._first.features(batch).items()}
        if role in self._prompt_lengths:
            features["prompt_length"] = self._prompt_lengths[role]
        # A checkpoint may declare that only its first dimensions are to be used.
        vectors: torch.Tensor = self._model(features)["sentence_embedding"][:, : self._model.truncate_dim]
        if self._facts.normalized and vectors.dtype != torch.float32:
            # Normalize in 16 bits leaves lengths up to 0.4% from 1, and inner products with them.
            vectors = torch.nn.functional.normalize(vectors.float(), dim=1)
        return np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)
