"""Pooling: from the states of a batch's tokens, all texts in one row, to a vector for each text.

The sums are those of sentence-transformers for flattened inputs (``Pooling._forward_flattened``), in the same order and
number format, so that vectors are the same bit by bit.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch

Mode = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]

SUMMED_IN_FP32 = (torch.float16, torch.bfloat16)
"""Number formats too coarse for sums; these are taken in fp32."""


class Pooling(NamedTuple):
    """A checkpoint's pooling: by each of ``modes``, with the results side by side."""

    modes: tuple[Mode, ...]
    width: int
    """Length of a token's state, as the checkpoint declares it."""
    include_prompt: bool
    """Whether the tokens of a prompt count too."""

    def __str__(self) -> str:
        """Return the pooling's name in sentence-transformers."""
        return str(self.modes[0] if len(self.modes) == 1 else self.modes)

    @property
    def dimensions(self) -> int:
        return self.width * len(self.modes)

    def __call__(self, states: torch.Tensor, lengths: torch.Tensor, prompt_length: int | None) -> torch.Tensor:
        """Return the texts' vectors, shape (texts, dimensions).

        Args:
            states: shape (tokens, width), text after text.
            lengths: tokens of each text, shape (texts,).
            prompt_length: tokens at the head of each text that are a prompt.
        """
        texts = _TextStates(states, lengths, 0 if self.include_prompt else prompt_length or 0)
        return torch.cat([texts.pool(mode) for mode in self.modes], dim=-1)


class _TextStates:
    """The states of a batch's texts; the first ``skipped`` of each text do not count."""

    def __init__(self, states: torch.Tensor, lengths: torch.Tensor, skipped: int) -> None:
        self._all, self._lengths, self._skipped = states, lengths, skipped
        self._ends = lengths.cumsum(0)
        self._starts = self._ends - lengths
        text = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        position = torch.arange(len(states)) - self._starts[text]
        counted = position >= skipped
        self._states, self._text, self._position = (x[counted] if skipped else x for x in (states, text, position))
        self._wide = torch.float32 if states.dtype in SUMMED_IN_FP32 else states.dtype

    def pool(self, mode: Mode) -> torch.Tensor:
        if mode == "cls":
            # A text that is all prompt keeps its first token.
            return self._all[self._starts + torch.where(self._lengths > self._skipped, self._skipped, 0)]
        if mode == "lasttoken":
            return self._all[self._ends - 1]
        if mode == "max":
            lowest = self._all.new_full((len(self._lengths), self._all.shape[1]), float("-inf"))
            return lowest.scatter_reduce(0, self._text[:, None].expand(self._states.shape), self._states, reduce="amax")
        if mode == "weightedmean":
            weights = (self._position + 1).to(self._wide)[:, None]
            return self._quotient(self._sums(self._states * weights), self._sums(weights))
        counts = (self._lengths - self._skipped)[:, None].to(self._wide)
        sums = self._sums(self._states.to(self._wide))
        return self._quotient(sums, counts if mode == "mean" else counts.clamp(min=1e-9).sqrt())

    def _sums(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the sum of each text's rows, shape (texts, width)."""
        return rows.new_zeros(len(self._lengths), rows.shape[1], dtype=self._wide).index_add(0, self._text, rows)

    def _quotient(self, sums: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        # sentence-transformers' bound too: a text that is all prompt must not divide by zero.
        return (sums / weights.clamp(min=1e-9)).to(self._all.dtype)
