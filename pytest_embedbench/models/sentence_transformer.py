"""Local sentence-transformers models."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Transformer
from transformers.utils import logging

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import ModelFacts, PreparedText, Role

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_embedbench.models.protocol import Vectors
    from pytest_embedbench.models.spec import NamedModel

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PROMPT_NAMES: dict[Role, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""Names under which checkpoints declare their prompts, as sentence-transformers' own encode_query looks them up."""


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
    """An ``Encoder`` over a SentenceTransformer whose first module is a text transformer.

    Texts are tokenized once, in bulk; padding (on the side that the tokenizer declares) is only as long as the
    batch needs; pooling and normalization are the checkpoint's own modules.
    """

    def __init__(self, model: NamedModel, folder: Path, *, device: str, dtype: str) -> None:
        spec = model.spec
        try:
            with _without_bars():
                self._model = SentenceTransformer(
                    str(folder),
                    device=device,
                    trust_remote_code=spec.trust_remote_code,
                    local_files_only=True,
                    model_kwargs={"dtype": DTYPES[dtype], "use_safetensors": True},
                )
        except Exception as error:
            raise ModelError(f"model {model.alias!r}: {folder} does not load: {error}") from error
        first = self._model[0]
        if not isinstance(first, Transformer) or set(first.modality_config) != {"text"}:
            raise ModelError(f"model {model.alias!r}: its first module is not a plain text transformer")
        self._model.eval()
        self._first = first
        self._tokenizer: Any = self._model.tokenizer
        self._tokenizer_lock = threading.Lock()
        if spec.max_seq_length:
            self._model.max_seq_length = spec.max_seq_length
        self._prompts = {
            "query": self._prompt("query", spec.query_prompt),
            "document": self._prompt("document", spec.document_prompt),
        }
        # Only pooling that leaves the prompt out looks at this; it counts the leading special token too.
        self._prompt_lengths = {
            role: first._get_prompt_length(prompt)  # noqa: SLF001 - there is no public way to ask
            for role, prompt in self._prompts.items()
            if prompt
        }
        self._facts = self._describe(device, dtype, trust_remote_code=spec.trust_remote_code)

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def _prompt(self, role: Role, chosen: str | None) -> str:
        if chosen is not None:
            return chosen
        declared: dict[str, str | None] = self._model.prompts
        return next((found for name in PROMPT_NAMES[role] if (found := declared.get(name))), "")

    def _describe(self, device: str, dtype: str, *, trust_remote_code: bool) -> ModelFacts:
        config = self._first.config
        pooling = next((str(m.pooling_mode) for m in self._model if hasattr(m, "pooling_mode")), "")
        return ModelFacts(
            architecture=str(getattr(config, "model_type", "")),
            parameters=sum(parameter.numel() for parameter in self._model.parameters()),
            dimensions=self._model.get_embedding_dimension(),
            normalized=isinstance(self._model[-1], Normalize) and self._model.truncate_dim is None,
            max_tokens=self._model.max_seq_length,
            pooling=pooling,
            attention=str(getattr(config, "_attn_implementation", "")),
            dtype=dtype,
            device=device,
            prompts={role: prompt for role, prompt in self._prompts.items() if prompt},
            trust_remote_code=trust_remote_code,
        )

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        """Tokenize in bulk with the role's prompt in front, truncated at the model's maximal length."""
        prompt = self._prompts[role]
        # The Rust tokenizer keeps truncation as state: two threads at once raise "Already borrowed".
        with self._tokenizer_lock:
            encoded = self._tokenizer(
                [prompt + text for text in texts],
                truncation=True,
                max_length=self._model.max_seq_length,
                padding=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                return_special_tokens_mask=True,
                return_offsets_mapping=bool(prompt),
            )
        prepared = []
        for index, ids in enumerate(encoded["input_ids"]):
            own = len(ids) - sum(encoded["special_tokens_mask"][index])
            if prompt:
                own = sum(end > len(prompt) for _, end in encoded["offset_mapping"][index])
            prepared.append(PreparedText(ids, len(ids), own))
        return prepared

    @torch.inference_mode()
    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        """Vectors of the batch, shape (texts, dimensions), float32."""
        padded = self._tokenizer.pad({"input_ids": [text.payload for text in batch]}, return_tensors="pt")
        features: dict[str, Any] = {key: value.to(self._model.device) for key, value in padded.items()}
        if role in self._prompt_lengths:
            features["prompt_length"] = self._prompt_lengths[role]
        # A checkpoint may declare that only its first dimensions are to be used.
        vectors: torch.Tensor = self._model(features)["sentence_embedding"][:, : self._model.truncate_dim]
        return np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)
