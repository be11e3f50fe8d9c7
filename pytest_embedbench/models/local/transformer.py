"""transformers' models of any kind that takes texts in one row, on a CPU; ``bert.py`` has the commonest kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel

from pytest_embedbench.models.fast.packed import Packing, can_pack
from pytest_embedbench.models.local.bars import without_bars
from pytest_embedbench.models.local.plain_checkpoint import LOCAL, NotPlainError


class Transformer:
    """A ``Body`` as sentence-transformers' Transformer loads it.

    Raises:
        NotPlainError: that does more than is done here, or the model does not take texts in one row.
    """

    def __init__(self, folder: Path, config: Any, dtype: torch.dtype) -> None:
        if config.is_encoder_decoder or config.sub_configs:
            raise NotPlainError  # half a model, or one of several
        if hasattr(config, "use_cache"):
            config.use_cache = False
        with without_bars():
            self._model = AutoModel.from_pretrained(folder, config=config, dtype=dtype, use_safetensors=True, **LOCAL)
        if not can_pack(self._model):
            raise NotPlainError
        self.architecture = str(self._model.config.model_type)
        self._packing = Packing(self._model)

    def parameters(self) -> Iterable[torch.Tensor]:
        parameters: Iterable[torch.Tensor] = self._model.parameters()
        return parameters

    def settle(self, vectors: Callable[[], torch.Tensor], expected: torch.Tensor) -> bool:
        return self._packing.settle(vectors, expected)

    def states(self, row: Sequence[Sequence[int]]) -> torch.Tensor:
        inputs = self._packing.inputs(row) if self._packing.on else {"input_ids": torch.tensor(row)}
        states: torch.Tensor = self._model(**inputs, return_dict=True)["last_hidden_state"][0]
        return states
