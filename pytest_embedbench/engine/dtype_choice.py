"""``--embed-dtype=auto``: the fastest number format that keeps a model's vectors, tried on the user's texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pytest_embedbench.core.bounded import Amount, Count
from pytest_embedbench.core.similarity import DEFAULT_SIMILARITY
from pytest_embedbench.datasets.types import ROLES, Role
from pytest_embedbench.encode.distances import apart
from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import Encoder

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Dataset
    from pytest_embedbench.models.protocol import Vectors

AUTO = "auto"

MIN_COSINE = 0.999
"""Cosine; a format is not chosen if any text's vector is less similar to that of the reference format."""

MIN_SPEEDUP = 1.1
"""Ratio to the reference's speed; less may be noise, and exact vectors are worth more."""

MAX_TRIED_TEXTS: dict[Role, int] = {"query": 32, "document": 96}
"""Texts of a dataset that formats are tried on, at most."""

MAX_TRIED_CHARACTERS = 48_000
"""Characters of a role's texts that formats are tried on, some 12,000 tokens; longer texts are then fewer."""

MIN_TRIED_TEXTS = 8
"""Texts of each role that formats are tried on at least, however long they are."""

TIMED_ROUNDS = 2
"""Times that the documents are encoded for the clock, after once for the cosines; the fastest counts."""

TRIAL_BATCH_TOKENS = 1024
"""Tokens of a batch; small batches, so that all workers have some."""


class DtypeTrial(msgspec.Struct, frozen=True, kw_only=True):
    """Result of trying a format: documents' tokens a second, and the lowest cosine to the reference over all texts."""

    tokens_per_second: Amount
    cosine: Amount


class DtypeChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The format chosen for a model on a dataset, and the trials that decided."""

    model: str
    dataset: str
    dtype: str
    reference: str
    trials: dict[str, DtypeTrial]
    texts: Count
    failed: dict[str, str] = {}
    """Reasons why formats did not run, by format."""

    def __post_init__(self) -> None:
        if not self.trials.keys() >= {self.dtype, self.reference}:  # msgspec makes it an error of decoding
            raise ValueError("a format without a trial")

    def __str__(self) -> str:
        """Return one line, e.g. ``bf16: 12,210 tok/s, fp32 6,381; cosine to fp32 >= 0.99983 (128 texts)``."""
        chosen, exact = self.trials[self.dtype], self.trials[self.reference]
        if self.dtype != self.reference:
            rates = f"{chosen.tokens_per_second:,.0f} tok/s, {self.reference} {exact.tokens_per_second:,.0f}"
            return f"{self.dtype}: {rates}; cosine to {self.reference} >= {chosen.cosine:.5f} ({self.texts} texts)"
        reasons = [
            f"{name} fails the guard (cosine {trial.cosine:.5f} < {MIN_COSINE})"
            if not trial.cosine >= MIN_COSINE  # also a NaN fails
            else f"{name} is not {MIN_SPEEDUP} times as fast"
            for name, trial in self.trials.items()
            if name != self.reference
        ]
        reasons += [f"{name} does not run ({reason})" for name, reason in self.failed.items()]
        return f"{self.reference}: {'; '.join(reasons) or 'nothing is faster on this hardware'}"


def sample(dataset: Dataset) -> dict[Role, list[str]]:
    """Return texts of a dataset to try formats on, of all lengths: they are taken evenly from short to long."""
    texts: dict[Role, Sequence[str]] = {"query": dataset.query_texts, "document": dataset.doc_texts}
    return {role: _spread(texts[role], MAX_TRIED_TEXTS[role]) for role in ROLES}


def _spread(texts: Sequence[str], max_texts: int) -> list[str]:
    # Each text once, so that repeated boilerplate does not crowd out others.
    ordered = sorted(set(texts), key=lambda text: (len(text), text))
    mean = sum(map(len, ordered)) / max(1, len(ordered))
    count = min(len(ordered), max_texts, max(MIN_TRIED_TEXTS, int(MAX_TRIED_CHARACTERS / max(1.0, mean))))
    # The middle of each of ``count`` equal parts.
    return [ordered[(2 * index + 1) * len(ordered) // (2 * count)] for index in range(count)]


def choose(
    model: str, dataset: Dataset, reference: str, candidates: Iterable[str], load: Callable[[str], Encoder]
) -> DtypeChoice:
    """Try number formats and choose one.

    Args:
        model: the model's name.
        dataset: the dataset from whose texts a sample is tried.
        reference: the format whose vectors count as exact.
        candidates: formats that the hardware is made for.
        load: returns the model in a format; called once for each, the reference first.

    Raises:
        ModelError: the model does not run in the reference format.
    """
    texts = sample(dataset)
    exact_model = load(reference)
    # Cosine is the same for all lengths; under every other similarity a format must keep them too.
    by_length = (exact_model.facts.similarity or DEFAULT_SIMILARITY) != "cosine"
    exact, rate = _try(exact_model, texts)
    del exact_model  # the next one is loaded in its place
    trials = {reference: DtypeTrial(tokens_per_second=rate, cosine=1.0)}
    failed: dict[str, str] = {}
    for name in candidates:
        if name == reference:
            continue
        try:
            vectors, rate = _try(load(name), texts)
        except ModelError as error:
            # The first line states the problem; the fix below it does not fit into a note.
            failed[name] = str(error).splitlines()[0]
            continue
        cosine = min(_least_cosine(exact[role], vectors[role], by_length=by_length) for role in ROLES)
        trials[name] = DtypeTrial(tokens_per_second=rate, cosine=cosine)
    # The reference itself is too slow for this list: it is chosen when no other format passes.
    min_speed = MIN_SPEEDUP * trials[reference].tokens_per_second
    passing = {n: t for n, t in trials.items() if t.cosine >= MIN_COSINE and t.tokens_per_second >= min_speed}
    best = max(passing, key=lambda name: passing[name].tokens_per_second, default=reference)
    return DtypeChoice(
        model=model,
        dataset=dataset.name,
        dtype=best,
        reference=reference,
        trials=trials,
        texts=sum(map(len, texts.values())),
        failed=failed,
    )


def _try(model: Encoder, texts: Mapping[Role, Sequence[str]]) -> tuple[dict[Role, Vectors], float]:
    """Return vectors of all texts, and tokens a second of the documents."""
    vectors = {
        role: encode(model, texts[role], role, batch_tokens=TRIAL_BATCH_TOKENS, progress=SilentProgress()).vectors
        for role in ROLES
    }
    rates = []
    for _ in range(TIMED_ROUNDS):
        timed = encode(model, texts["document"], "document", batch_tokens=TRIAL_BATCH_TOKENS, progress=SilentProgress())
        rates.append(timed.tokens / timed.seconds)
    # Disturbances only slow a round down, so the fastest is nearest to the truth.
    return vectors, max(rates)


def _least_cosine(first: Vectors, second: Vectors, *, by_length: bool) -> float:
    """Return the lowest cosine of two vectors in the same row; shapes (texts, dimensions). Without rows it is 1.

    ``by_length``: less where lengths differ too, see ``encode.distances.apart``.
    """
    if not len(first):
        return 1.0
    if by_length:
        # As low as a cosine can be: findings are kept as JSON, which has no infinity.
        return max(-1.0, float(1 - apart(first, second).max()))
    a, b = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    # A vector of zeros has no cosine; it counts as equal only to another one.
    cosines = np.where(lengths > 0, (a * b).sum(axis=1) / np.where(lengths > 0, lengths, 1), (a == b).all(axis=1))
    return float(cosines.min())
