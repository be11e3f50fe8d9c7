"""A sample of the vectors that came under load, compared with those that come afterwards, one request at a time."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_embedbench.encode.variant_encoder import VariantEncoder
from pytest_embedbench.encode.verification import SEED, Received, Setting, Verifier
from pytest_embedbench.models.protocol import is_foreign

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Encoder, PreparedText, Vectors

SAMPLE_TEXTS = 128
"""Texts of a load that are asked for again, at most, each of another request."""

ALONE = 4
"""Texts of the sample that are asked for each in a request of its own; the others are in requests that mix them."""

UNDER_LOAD = Setting(
    "under load", "no latency is kept", "the server mixes up requests that are in flight together: use another version"
)


class ReceivedSample:
    """A random sample of the texts of a load, with the vectors that came; one text of a request (Vitter's algorithm R).

    For local models it stays empty: their vectors come from code of this package, and loading compares packed batches
    with padded ones.

    Args:
        model: the model under load.
        role: role of all texts.
        formed: whether the vectors that come have the variant's form already, where the model is a variant.
    """

    def __init__(self, model: Encoder, role: Role, *, formed: bool) -> None:
        asked = model.whole if isinstance(model, VariantEncoder) and not formed else model
        self._verifier = Verifier(asked, role, UNDER_LOAD) if is_foreign(model) else None
        self._chance = random.Random(SEED)
        self._lock = threading.Lock()
        self._requests = 0
        self._sample: list[Received] = []

    def add(self, raw: Sequence[str], texts: Sequence[PreparedText], vectors: Vectors) -> None:
        """Take note of an answered request; its vectors have shape (texts, dimensions)."""
        if self._verifier is None:
            return
        with self._lock:
            self._requests += 1
            place = self._chance.randrange(self._requests)
            row = self._chance.randrange(len(raw))
            if len(self._sample) < SAMPLE_TEXTS:
                place = len(self._sample)
            if place < SAMPLE_TEXTS:
                self._sample[place : place + 1] = [Received(raw[row], texts[row], vectors[row].copy(), texts)]

    def verify(self) -> None:
        """Ask for the sample again; nothing else may be in flight.

        Raises:
            DifferentVectorsError: a text got another vector under load.
            ModelError: the model failed.
        """
        if self._verifier is not None:
            self._verifier.verify(self._sample, ALONE)
