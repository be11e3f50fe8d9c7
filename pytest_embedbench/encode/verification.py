"""Ask for some texts again, with nothing else in flight, and compare: a busy model must give what an idle one gives.

Servers and functions mix up vectors in ways that no answer shows by itself: they give that of another request or of
another text of the batch, or one of a buffer that was not cleared or of padding that is not masked. docs/measurement.md
has the size of the sample, the limits and the reasons for them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_embedbench.encode.distances import apart
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import SERVED_DEVICE, ServedEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Encoder, PreparedText, Vectors

SEED = 20261201
"""Seed of all choices, so that sessions ask for the same texts again."""

ROUNDING = 1e-5
"""Distance (``apart``); two vectors of a text in float32 are never further apart than this."""

COARSE_ROUNDING = 5e-3
"""Distance; the same in bf16, the coarsest format that models are usually served in."""

LARGEST_NOISE = 0.15
"""Distance; the same where activations are quantized to 8 bits by the range of their batch (0.1 for MiniLM)."""

NOISE_FACTOR = 8
"""Multiple of a model's own noise that is still noise: it is measured on few texts, and others may have more."""

NOISE_TEXTS = 16
"""Texts on which a model's own noise is measured, at most."""

GROUP_TEXTS = 32
GROUP_TOKENS = 4096
"""Texts and tokens that are asked again in one request, at most."""

COARSE_MOVE = 1e-3
"""Distance; a batch that is quantized as a whole moves vectors by more, even beside a text of as many tokens (0.015 for
MiniLM)."""

REORDERED_TEXTS = 5
"""Texts that are asked for beside one of as many tokens, at most."""

PARTS_TO_REORDER = 5
"""Words of a text, at least, that is reordered to give another one of as many tokens; or characters, in scripts without
spaces."""


FUNCTION_FIX = "let the function treat each text alone, whatever else is in its batch: mask padding, keep the order"


class Received(NamedTuple):
    """A text, as given and as tokenized, the vector that came for it, and all texts of the request that it was in."""

    text: str
    prepared: PreparedText
    vector: Vectors
    request: Sequence[PreparedText]


class Setting(NamedTuple):
    """Words of the error: how the vectors came, what is not kept, and what to do about requests that are mixed up."""

    busy: str
    unkept: str
    fix: str


class DifferentVectorsError(ModelError):
    """A model gave a text another vector than when it was asked again with nothing else in flight."""


class Verifier:
    """Compares vectors that a model gave with those that it gives again, one request at a time.

    The limit is that of float32 until a text exceeds it. Then the model's own noise is measured, with nothing else in
    flight, and the limit that follows from it holds for later calls too.

    Args:
        model: the model, which does nothing else meanwhile.
        role: role of all texts.
        setting: words for how the vectors came.
        advance: called with the tokens of each request of a sample, once it is answered.
    """

    def __init__(
        self, model: Encoder, role: Role, setting: Setting, advance: Callable[[int], None] = lambda _: None
    ) -> None:
        self._model, self._role, self._setting, self._advance = model, role, setting, advance
        self._chance = random.Random(SEED)
        self.limit = ROUNDING

    def verify(self, sample: Sequence[Received], alone: int) -> None:
        """Ask for texts again: the first ``alone`` each in a request of its own, the others in mixed requests.

        Raises:
            DifferentVectorsError: a vector is further from the one that came before than the model's own noise.
            ModelError: the model failed.
        """
        if not sample:
            return
        given = np.stack([received.vector for received in sample])
        again = np.concatenate(
            [
                self._alone(sample[:alone], self._advance),
                self._grouped(sample[alone:], given.shape[1], self._advance),
            ]
        )
        distances = apart(given, again)
        if distances.max() <= self.limit:
            return
        self._measure_noise(sample, distances, again)
        if distances.max() > self.limit:
            raise self._difference(sample, distances)

    def _measure_noise(self, sample: Sequence[Received], distances: NDArray[np.float64], again: Vectors) -> None:
        """Set the limit by how far the model's vectors of a text are from each other when it does nothing else.

        A text's distance becomes that to the nearest of them, since a server may have several machines.
        """
        order = np.argsort(-distances, kind="stable").tolist()
        worst, rest = order[: NOISE_TEXTS // 2], order[NOISE_TEXTS // 2 :]
        rows = worst + self._chance.sample(rest, min(len(rest), NOISE_TEXTS - len(worst)))
        texts = [sample[row] for row in rows]
        dimensions = again.shape[1]
        alone, repeated = self._alone(texts), self._alone(texts[: NOISE_TEXTS // 4])
        mixed = self._grouped(texts, dimensions)
        given = np.stack([received.vector for received in texts])
        answers = [again[rows], alone, mixed]
        distances[rows] = np.min([apart(given, answer) for answer in answers], axis=0)
        call_noise = apart(alone[: len(repeated)], repeated)
        pairs = ((alone, answers[0]), (alone, mixed), (answers[0], mixed))
        noise = np.max([apart(*pair) for pair in pairs], axis=0)
        if call_noise.max() > COARSE_ROUNDING:
            problem = "asked for one text twice, with nothing else in flight, it gives vectors that are"
            fix = self._advice(
                "see to it that all replicas serve one model, in eval mode",
                "let the function give a text one vector: put the model into eval mode, fix the seed",
            )
            row = int(call_noise.argmax())
            raise _unusable(problem, texts[row], (alone[row], repeated[row]), fix)
        if noise.max() > LARGEST_NOISE or (noise.max() > COARSE_ROUNDING and not self._is_coarse(texts, alone)):
            problem = "alone and beside other texts, with nothing else in flight, it gives a text vectors that are"
            fix = self._advice(
                "mask the padding, and put vectors back in the order of the texts; batch_texts = 1 avoids it",
                FUNCTION_FIX,
            )
            row = int(noise.argmax())
            furthest = max(((first[row], second[row]) for first, second in pairs), key=lambda two: _distance(*two))
            raise _unusable(problem, texts[row], furthest, fix)
        self.limit = max(self.limit, largest_difference(float(max(noise.max(), call_noise.max()))))

    def _is_coarse(self, texts: Sequence[Received], alone: Vectors) -> bool:
        """Whether vectors move beside a text of as many tokens too, as they do where a batch is quantized as a whole.

        Padding cannot be the reason then, since there is none.
        """
        moved = []
        for received, vector in zip(texts, alone, strict=True):
            if not (reordered := _reordered(received.text)):
                continue
            (beside,) = self._model.prepare([reordered], self._role)
            answer = self._model.forward([received.prepared, beside], self._role)[:1]
            moved.append(float(apart(answer, vector[None])[0]))
            if len(moved) == REORDERED_TEXTS:
                break
        return bool(moved) and float(np.median(moved)) > COARSE_MOVE

    def _alone(self, texts: Sequence[Received], advance: Callable[[int], None] = lambda _: None) -> Vectors:
        vectors = []
        for received in texts:
            vectors.append(self._model.forward([received.prepared], self._role))
            advance(received.prepared.length)
        return np.concatenate(vectors)

    def _grouped(
        self, texts: Sequence[Received], dimensions: int, advance: Callable[[int], None] = lambda _: None
    ) -> Vectors:
        """Return the vectors of texts in requests that each mix long and short ones, one request after the other."""
        vectors = np.empty((len(texts), dimensions), np.float32)
        order = self._chance.sample(range(len(texts)), len(texts))
        for rows in self._groups(order, texts):
            vectors[rows] = self._model.forward([texts[row].prepared for row in rows], self._role)
            advance(sum(texts[row].prepared.length for row in rows))
        return vectors

    def _groups(self, order: Sequence[int], texts: Sequence[Received]) -> Iterator[list[int]]:
        most_texts, most_tokens = GROUP_TEXTS, GROUP_TOKENS
        if isinstance(self._model, ServedEncoder):
            limits = self._model.limits
            most_texts, most_tokens = min(most_texts, limits.texts, self._model.pace.texts), limits.tokens
        elif self._model.facts.device == SERVED_DEVICE:
            most_texts = 1  # it would spread a group over requests that are in flight together
        group: list[int] = []
        longest = 0
        for row in order:
            wide = max(longest, texts[row].prepared.length)
            if group and (len(group) == most_texts or wide * (len(group) + 1) > most_tokens):
                yield group
                group, wide = [], texts[row].prepared.length
            group.append(row)
            longest = wide
        if group:
            yield group

    def _difference(self, sample: Sequence[Received], distances: NDArray[np.float64]) -> DifferentVectorsError:
        row = int(distances.argmax())
        worst, wrong = sample[row], int((distances > self.limit).sum())
        alone = self._alone([worst])
        length = _lengths(worst.vector, alone[0])
        busy, unkept, mixed_up = self._setting
        problem = (
            f"a {self._role}'s vector that came {busy} is {distances[row]:.2g} apart (1 - cosine{length}) from the one "
            "that came with nothing else in flight; "
            f"rounding explains {self.limit:.1g}: {worst.text[:200]!r}\n"
            f"  {wrong:,} of {len(sample):,} texts that were asked for again got another vector; {unkept}"
        )
        position = next(index for index, text in enumerate(worst.request) if text is worst.prepared)
        same_request = self._model.forward(worst.request, self._role)[position : position + 1]
        if apart(same_request, alone)[0] > self.limit:
            fix = "the vector depends on the other texts of its request: batch_texts = 1 in the model's definition"
        else:
            fix = f"the same request alone gives the right vector; {mixed_up}"
        return DifferentVectorsError(problem, fix=self._advice(fix, FUNCTION_FIX))

    def _advice(self, of_server: str, of_function: str) -> str:
        """Return the fix that holds for the model."""
        served = isinstance(self._model, ServedEncoder) or self._model.facts.device == SERVED_DEVICE
        return of_server if served else of_function


def _reordered(text: str) -> str:
    """Return a text of the same parts in another order, so that it has as many tokens; empty if it has too few."""
    words = text.split()
    # The first word stays in its place: it stands without a space before it.
    if len(words) >= PARTS_TO_REORDER:
        return " ".join([words[0], *reversed(words[1:])])
    joined = "".join(words)
    return joined[0] + joined[:0:-1] if len(joined) >= PARTS_TO_REORDER else ""


def _unusable(problem: str, received: Received, vectors: tuple[Vectors, Vectors], fix: str) -> DifferentVectorsError:
    distance = f"{_distance(*vectors):.2g} apart (1 - cosine{_lengths(*vectors)})"
    return DifferentVectorsError(f"{problem} {distance}: {received.text[:200]!r}", fix=fix)


def _distance(first: Vectors, second: Vectors) -> float:
    return float(apart(first[None], second[None])[0])


def _lengths(first: Vectors, second: Vectors) -> str:
    """Return words for the lengths of two vectors, if they differ: ``apart`` counts that too."""
    before, now = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    return "" if math.isclose(before, now, rel_tol=0.01) else f", length {before:.3g} and not {now:.3g}"


def largest_difference(noise: float) -> float:
    """Return the largest distance of two vectors of one text that a model's own noise explains.

    Args:
        noise: largest distance between vectors of one text, alone and beside others, with nothing else in flight.
    """
    if noise == 0:
        # It computes each text alone when it is idle, and may gather texts when it is busy: the format is unknown.
        return COARSE_ROUNDING
    return max(ROUNDING, min(NOISE_FACTOR * noise, max(COARSE_ROUNDING, 2 * noise)))
