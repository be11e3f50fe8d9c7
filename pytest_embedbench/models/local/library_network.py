"""Checkpoints that sentence-transformers itself loads and runs: on GPUs all, on CPUs those that are not plain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.fast.packed import Packing, can_pack
from pytest_embedbench.models.local.first_module import Static, TextTransformer, first_module
from pytest_embedbench.models.local.progress_bars import without_progress_bars
from pytest_embedbench.models.sample_texts import SAMPLE_TEXTS

if TYPE_CHECKING:
    from pytest_embedbench.models.backend import Backend
    from pytest_embedbench.models.protocol import PreparedText
    from pytest_embedbench.models.spec import NamedModel


class LibraryNetwork:
    """A ``Network`` around a SentenceTransformer: static vectors, or a transformer that torch or another backend runs.

    Texts are tokenized here, once and in bulk; pooling and normalization are the checkpoint's own modules.

    Raises:
        ModelError: the checkpoint does not load, or its first module is of a kind unknown here.
    """

    def __init__(self, model: NamedModel, folder: Path, backend: Backend, dtype: torch.dtype | None) -> None:
        spec = model.spec
        try:
            with without_progress_bars():
                self.model = SentenceTransformer(
                    str(folder),
                    device=backend.device,
                    trust_remote_code=spec.trust_remote_code,
                    local_files_only=True,  # remote/hub.py has downloaded and verified the files
                    backend=spec.backend,
                    model_kwargs=backend.arguments,
                )
        except Exception as error:
            raise ModelError(f"{folder} does not load: {error}", where=f"model {model.alias!r}") from error
        first = first_module(self.model, spec.max_seq_length)
        if first is None:
            problem = "its first module is neither a plain text transformer nor a static embedding"
            raise ModelError(problem, where=f"model {model.alias!r}")
        if isinstance(first, Static):
            self.model.to(dtype)  # its loader takes no number format
        self.model.eval()
        self._first = first
        self.declared: Mapping[str, str | None] = self.model.prompts
        self.default_prompt_name: str | None = self.model.default_prompt_name
        self.notice = first.notice

    def pack(self) -> None:
        """Leave padding out from now on where the modules allow it, unless that changes vectors."""
        first = self._first
        if not (isinstance(first, TextTransformer) and _packable(self.model)):
            return
        texts = self.prepare(SAMPLE_TEXTS, "")
        # The padded vectors come first: packing changes the modules.
        padded, packing = self.vectors(texts, None), Packing(first.module.model)
        first.pack(packing)
        if not packing.pack_if_same(lambda: self.vectors(texts, None), padded):
            first.packing = None

    @property
    def facts(self) -> dict[str, Any]:
        pooling = next((str(m.pooling_mode) for m in self.model if hasattr(m, "pooling_mode")), "")
        return {
            "dimensions": self.model.get_embedding_dimension(),
            "normalized": isinstance(self.model[-1], Normalize) and self.model.truncate_dim is None,
            "pooling": pooling,
            **self._first.facts,  # last: static vectors have no pooling module, and state their own pooling
        }

    def parameters(self) -> Iterable[torch.Tensor]:
        return self.model.parameters()

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        return self._first.prepare(texts, prompt)

    def prompt_length(self, prompt: str) -> int | None:
        return self._first.prompt_length(prompt)

    @torch.inference_mode()
    def vectors(self, batch: Sequence[PreparedText], prompt_length: int | None) -> torch.Tensor:
        features = {key: value.to(self.model.device) for key, value in self._first.features(batch).items()}
        if prompt_length:
            features["prompt_length"] = prompt_length
        # A checkpoint may declare that only the first dimensions are to be used.
        vectors: torch.Tensor = self.model(features)["sentence_embedding"][:, : self.model.truncate_dim]
        return vectors


def _packable(model: SentenceTransformer) -> bool:
    """Whether every module takes texts in one row."""
    first = model[0]
    if not isinstance(first, Transformer) or first.backend != "torch" or first.transformer_task != "feature-extraction":
        return False
    others = list(model)[1:]
    return all(isinstance(module, (Pooling, Normalize, Dense)) for module in others) and can_pack(first.model)
