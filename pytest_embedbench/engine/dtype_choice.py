"""``--embed-dtype auto``: the fastest number format that leaves a model's vectors as they are, on the user's texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pytest_embedbench.datasets.types import ROLES, Role
from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import Encoder

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Dataset
    from pytest_embedbench.models.protocol import Vectors

AUTO = "auto"

GUARD = 0.999
"""The least cosine of a text's vector to that of the reference format."""

FASTER = 1.1
"""A format must be so many times as fast as the reference: less is noise, and exact vectors are worth more."""

TEXTS: dict[Role, int] = {"query": 32, "document": 96}
"""Texts of a dataset that are tried."""

CHARACTERS = 48_000
"""Characters of a role's texts that are enough, some 12,000 tokens; but ``FEWEST`` texts in any case."""

FEWEST = 8

ROUNDS = 2
"""Times that the documents are encoded for the clock, after once for the guard; the fastest counts."""

BATCH_TOKENS = 1024
"""Small batches, so that all workers have some."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """How a format did: documents' tokens a second, and the least cosine to the reference over all texts tried."""

    tokens_per_second: float
    cosine: float


class DtypeChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The format chosen for a model on a dataset, and why."""

    model: str
    dataset: str
    dtype: str
    reference: str
    trials: dict[str, Trial]
    texts: int
    failed: dict[str, str] = {}
    """Formats that did not run, with the reason."""

    def __str__(self) -> str:
        """One line for people, e.g. ``bf16: 12,210 tok/s, fp32 6,381; cosine to fp32 >= 0.99983 (128 texts)``."""
        chosen, exact = self.trials[self.dtype], self.trials[self.reference]
        if self.dtype != self.reference:
            rates = f"{chosen.tokens_per_second:,.0f} tok/s, {self.reference} {exact.tokens_per_second:,.0f}"
            return f"{self.dtype}: {rates}; cosine to {self.reference} >= {chosen.cosine:.5f} ({self.texts} texts)"
        reasons = [
            f"{name} fails the guard (cosine {trial.cosine:.5f} < {GUARD})"
            if not trial.cosine >= GUARD
            else f"{name} is not {FASTER} times as fast"
            for name, trial in self.trials.items()
            if name != self.reference
        ]
        reasons += [f"{name} does not run ({reason})" for name, reason in self.failed.items()]
        return f"{self.reference}: {'; '.join(reasons) or 'nothing is faster on this hardware'}"


def sample(dataset: Dataset) -> dict[Role, list[str]]:
    """Texts of a dataset to try formats on: of all lengths alike, since they are taken evenly from short to long."""
    texts: dict[Role, Sequence[str]] = {"query": dataset.query_texts, "document": dataset.doc_texts}
    return {role: _spread(texts[role], TEXTS[role]) for role in ROLES}


def _spread(texts: Sequence[str], most: int) -> list[str]:
    ordered = sorted(set(texts), key=lambda text: (len(text), text))
    mean = sum(map(len, ordered)) / max(1, len(ordered))
    count = min(len(ordered), most, max(FEWEST, int(CHARACTERS / max(1.0, mean))))
    return [ordered[(2 * index + 1) * len(ordered) // (2 * count)] for index in range(count)]


def choose(
    model: str, dataset: Dataset, reference: str, candidates: Iterable[str], load: Callable[[str], Encoder]
) -> DtypeChoice:
    """Try number formats and choose one.

    Args:
        model: its name.
        dataset: a sample of its texts is tried.
        reference: the format whose vectors count as exact.
        candidates: formats that the hardware is made for.
        load: gives the model in a format; called once for each, the reference first.

    Raises:
        ModelError: the model does not run in the reference format.
    """
    texts = sample(dataset)
    exact, rate = _tried(load(reference), texts)
    trials = {reference: Trial(tokens_per_second=rate, cosine=1.0)}
    failed: dict[str, str] = {}
    for name in candidates:
        if name == reference:
            continue
        try:
            vectors, rate = _tried(load(name), texts)
        except ModelError as error:
            failed[name] = str(error).splitlines()[0]
            continue
        cosine = min(_least_cosine(exact[role], vectors[role]) for role in ROLES)
        trials[name] = Trial(tokens_per_second=rate, cosine=cosine)
    enough = FASTER * trials[reference].tokens_per_second
    fit = {name: t for name, t in trials.items() if t.cosine >= GUARD and t.tokens_per_second >= enough}
    best = max(fit, key=lambda name: fit[name].tokens_per_second, default=reference)
    return DtypeChoice(
        model=model,
        dataset=dataset.name,
        dtype=best,
        reference=reference,
        trials=trials,
        texts=sum(map(len, texts.values())),
        failed=failed,
    )


def _tried(model: Encoder, texts: Mapping[Role, Sequence[str]]) -> tuple[dict[Role, Vectors], float]:
    """Vectors of all texts, and tokens a second of the documents."""
    made = {
        role: encode(model, texts[role], role, batch_tokens=BATCH_TOKENS, progress=SilentProgress()).vectors
        for role in ROLES
    }
    rates = []
    for _ in range(ROUNDS):
        timed = encode(model, texts["document"], "document", batch_tokens=BATCH_TOKENS, progress=SilentProgress())
        rates.append(timed.tokens / timed.seconds)
    return made, max(rates)


def _least_cosine(one: Vectors, other: Vectors) -> float:
    """The least cosine of two vectors in the same row; shapes (texts, dimensions). 1 where there is none."""
    if not len(one):
        return 1.0
    a, b = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    # Of a vector of zeros a cosine says nothing: such texts are equal where both are zero.
    cosines = np.where(lengths > 0, (a * b).sum(axis=1) / np.where(lengths > 0, lengths, 1), (a == b).all(axis=1))
    return float(cosines.min())
