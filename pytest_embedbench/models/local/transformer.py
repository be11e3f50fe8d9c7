"""transformers' own modules on a CPU, for models that take texts in one row; ``bert.py`` has the most common kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel

from pytest_embedbench.models.fast.packed import Packing, can_pack
from pytest_embedbench.models.local.plain_checkpoint import LOAD_OPTIONS, NotPlainError
from pytest_embedbench.models.local.progress_bars import without_progress_bars


class Transformer:
    """A ``Body`` as sentence-transformers' Transformer loads it.

    Raises:
        NotPlainError: sentence-transformers would do more than this class, or the model does not take texts in one row.
    """

    def __init__(self, folder: Path, config: Any, dtype: torch.dtype) -> None:
        if config.is_encoder_decoder or config.sub_configs:
            raise NotPlainError  # an encoder with a decoder, or several models in one
        # Decoders would otherwise return all keys and values, which only generating texts needs.
        if hasattr(config, "use_cache"):
            config.use_cache = False
        with without_progress_bars():
            self._model = AutoModel.from_pretrained(
                folder, config=config, dtype=dtype, use_safetensors=True, **LOAD_OPTIONS
            )
        if not can_pack(self._model):
            raise NotPlainError
        self.architecture = str(self._model.config.model_type)
        self._packing = Packing(self._model)

    def parameters(self) -> Iterable[torch.Tensor]:
        parameters: Iterable[torch.Tensor] = self._model.parameters()
        return parameters

    def pack_if_same(self, compute: Callable[[], torch.Tensor], expected: torch.Tensor) -> bool:
        return self._packing.pack_if_same(compute, expected)

    def states(self, batch: Sequence[Sequence[int]]) -> torch.Tensor:
        inputs = self._packing.inputs(batch) if self._packing.on else {"input_ids": torch.tensor(batch)}
        # Index 0: all texts of a batch stand in one row, or the batch is a single text.
        states: torch.Tensor = self._model(**inputs, return_dict=True)["last_hidden_state"][0]
        return states
