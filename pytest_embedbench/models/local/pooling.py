"""From the states of a batch's tokens, all texts in one row, to a vector for each text.

As sentence-transformers pools flattened inputs (``Pooling._forward_flattened``): the same sums in the same order and
number format, so that vectors are the same bit by bit.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch

Mode = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]

NARROW = (torch.float16, torch.bfloat16)
"""Number formats in which sums are not taken."""


class Pooling(NamedTuple):
    """How a checkpoint pools: by each of ``modes``, whose results stand side by side."""

    modes: tuple[Mode, ...]
    width: int
    """Of a token's state, as the checkpoint says it."""
    include_prompt: bool

    def __str__(self) -> str:
        """What sentence-transformers says of it."""
        return str(self.modes[0] if len(self.modes) == 1 else self.modes)

    @property
    def dimensions(self) -> int:
        return self.width * len(self.modes)

    def __call__(self, states: torch.Tensor, lengths: torch.Tensor, prompt_length: int | None) -> torch.Tensor:
        """Vectors of shape (texts, dimensions), from states of shape (tokens, width) and each text's tokens.

        The first ``prompt_length`` tokens of each text are a prompt.
        """
        row = _Row(states, lengths, 0 if self.include_prompt else prompt_length or 0)
        return torch.cat([row.pooled(mode) for mode in self.modes], dim=-1)


class _Row:
    """The states of a batch, of which the first ``skipped`` of each text do not count."""

    def __init__(self, states: torch.Tensor, lengths: torch.Tensor, skipped: int) -> None:
        self._all, self._lengths, self._skipped = states, lengths, skipped
        self._ends = lengths.cumsum(0)
        self._starts = self._ends - lengths
        text = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        place = torch.arange(len(states)) - self._starts[text]
        counted = place >= skipped
        self._states, self._text, self._place = (x[counted] if skipped else x for x in (states, text, place))
        self._wide = torch.float32 if states.dtype in NARROW else states.dtype

    def pooled(self, mode: Mode) -> torch.Tensor:
        if mode == "cls":
            return self._all[self._starts + torch.where(self._lengths > self._skipped, self._skipped, 0)]
        if mode == "lasttoken":
            return self._all[self._ends - 1]
        if mode == "max":
            lowest = self._all.new_full((len(self._lengths), self._all.shape[1]), float("-inf"))
            return lowest.scatter_reduce(0, self._text[:, None].expand(self._states.shape), self._states, reduce="amax")
        if mode == "weightedmean":
            weights = (self._place + 1).to(self._wide)[:, None]
            return self._divided(self._sums(self._states * weights), self._sums(weights))
        counts = (self._lengths - self._skipped)[:, None].to(self._wide)
        sums = self._sums(self._states.to(self._wide))
        return self._divided(sums, counts if mode == "mean" else counts.clamp(min=1e-9).sqrt())

    def _sums(self, rows: torch.Tensor) -> torch.Tensor:
        """Of each text's rows."""
        return rows.new_zeros(len(self._lengths), rows.shape[1], dtype=self._wide).index_add(0, self._text, rows)

    def _divided(self, sums: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        return (sums / by.clamp(min=1e-9)).to(self._all.dtype)
