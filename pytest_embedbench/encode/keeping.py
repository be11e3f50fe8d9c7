"""Put encoded batches into the cache: at once, or, from servers and functions, after a sample of them was verified."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError as TookTooLongError
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pytest_embedbench.encode.verification import SEED, DifferentVectorsError, Received, Setting, Verifier
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import ServedEncoder, is_foreign

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.encode.lookup import Cache
    from pytest_embedbench.encode.window import WindowBatch
    from pytest_embedbench.models.protocol import AnsweredBatch, Encoder, PreparedText, Vectors

FIRST_ROUND_TEXTS = 1024
ROUND_TEXTS = 8192
"""Texts of the first round and of later ones: few at first, so that a fault is found soon."""

ROUND_SECONDS = 60.0
"""Seconds after which a round ends early, so that a run that is killed loses little."""

ROUNDS_IN_FLIGHT = 4
"""Requests of a round that ends early, for each one in flight: at a round's end, some of these places are empty."""

FIRST_SAMPLE = 64
"""Texts of the first round that are asked for again, at most."""

SLOW_SECONDS = 30.0
"""Seconds; where the first round takes longer, only one in ``SLOW_SHARE`` of its texts is asked for again."""

SLOW_SHARE = 4
SLOW_SAMPLE = 16
"""Texts that are asked for again even so, where there are as many."""

SAMPLED_TEXTS = 64
"""One of so many texts of later rounds is asked for again."""

FIRST_ALONE, ALONE = 4, 1
"""Texts of a sample that are asked for each in a request of its own, in the first round and in later ones."""

SALVAGE_SECONDS = 30.0
"""Seconds in which a server must answer after a failure, for the texts that came before it to be verified and kept."""

MIXED_UP_FIX = (
    "requests that are in flight together are mixed up: concurrency = 1 in the model's definition, or another version "
    "of the server"
)


class Keeping(Protocol):
    """Keeps batches for later runs."""

    unverified: int
    """Texts that were encoded and could not be kept."""
    tokens: int
    """Tokens of the texts that were asked for again; progress counts them too."""
    seconds: float
    """Seconds that verification took."""

    def rounds(self, batches: Iterator[WindowBatch]) -> Iterator[Iterator[WindowBatch]]:
        """Yield the batches in rounds; each is to be encoded and taken by ``add``, then ``finish_round`` is called."""
        ...

    def add(self, batch: WindowBatch, answer: AnsweredBatch) -> None: ...

    def finish_round(self) -> None:
        """Keep the round's batches; nothing is in flight now.

        Raises:
            ModelError: a vector is wrong; then nothing of the whole corpus is kept. Or the model failed.
        """
        ...

    def salvage(self) -> None:
        """After a failure, keep what came before it.

        Raises:
            DifferentVectorsError: a vector is wrong.
        """
        ...


class Asking(NamedTuple):
    """Callbacks for texts that are asked for again: before the first of them, and with the tokens of each request."""

    begin: Callable[[], None] = lambda: None
    advance: Callable[[int], None] = lambda _: None


def keeping(model: Encoder, role: Role, cache: Cache, asking: Asking) -> Keeping:
    """Return how a model's batches are kept in its cache."""
    return KeepVerified(model, role, cache, asking) if is_foreign(model) else KeepAtOnce(cache)


class KeepAtOnce:
    """Keeps each batch as it comes, in one round."""

    unverified = tokens = 0
    seconds = 0.0

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def rounds(self, batches: Iterator[WindowBatch]) -> Iterator[Iterator[WindowBatch]]:
        yield batches

    def add(self, batch: WindowBatch, answer: AnsweredBatch) -> None:
        self._cache.write(batch.texts, answer.texts, answer.vectors)

    def finish_round(self) -> None:
        pass

    def salvage(self) -> None:
        pass


class _Held(NamedTuple):
    """A batch that is not verified yet: its texts as given, as sent, and as the server counted them."""

    texts: Sequence[str]
    sent: Sequence[PreparedText]
    counted: Sequence[PreparedText]
    vectors: Vectors

    def received(self, row: int) -> Received:
        return Received(self.texts[row], self.sent[row], self.vectors[row], self.sent)


class KeepVerified:
    """Keeps each round once a sample of it is verified."""

    def __init__(self, model: Encoder, role: Role, cache: Cache, asking: Asking) -> None:
        self._model, self._role, self._cache, self._asking = model, role, cache, asking
        limits = model.limits if isinstance(model, ServedEncoder) else None
        self._in_flight = limits.requests if limits else 1
        busy = "in a batch"
        if limits and limits.requests == 1:
            busy = f"in a request of up to {limits.texts} texts"
        elif limits:
            busy = f"while up to {limits.requests} requests of up to {limits.texts} texts were in flight"
        self._verifier = Verifier(model, role, Setting(busy, "none is kept", MIXED_UP_FIX), asking.advance)
        self._chance = random.Random(SEED)
        self._held: list[_Held] = []
        self._kept: list[str] = []
        self._round = 0
        self._round_began = time.monotonic()
        self.unverified = self.tokens = 0
        self.seconds = 0.0

    def rounds(self, batches: Iterator[WindowBatch]) -> Iterator[Iterator[WindowBatch]]:
        for head in batches:
            yield self._until_full(chain([head], batches))

    def _until_full(self, batches: Iterator[WindowBatch]) -> Iterator[WindowBatch]:
        most, started, texts = ROUND_TEXTS if self._round else FIRST_ROUND_TEXTS, time.monotonic(), 0
        for number, batch in enumerate(batches, 1):
            yield batch
            texts += len(batch.prepared)
            late = time.monotonic() - started >= ROUND_SECONDS
            if texts >= most or (late and number >= ROUNDS_IN_FLIGHT * self._in_flight):
                return

    def add(self, batch: WindowBatch, answer: AnsweredBatch) -> None:
        self._held.append(_Held(batch.texts, batch.prepared, answer.texts, answer.vectors))

    def finish_round(self) -> None:
        began = time.perf_counter()
        texts = sum(len(held.texts) for held in self._held)
        # A single text was alone already.
        if texts > 1 or self._round:
            sample = choose(self._held, self._sample_size(texts), self._chance)
            self.tokens += sum(received.prepared.length for received in sample)
            self._asking.begin()
            try:
                self._verifier.verify(sample, ALONE if self._round else FIRST_ALONE)
            except DifferentVectorsError:
                self._held.clear()
                # Rounds before this one may hold wrong vectors too, outside their samples.
                self._cache.remove(self._kept)
                raise
        for held in self._held:
            self._cache.write(held.texts, held.counted, held.vectors)
            self._kept += held.texts
        self._held.clear()
        self._round += 1
        self.seconds += time.perf_counter() - began

    def _sample_size(self, texts: int) -> int:
        if self._round:
            return texts // SAMPLED_TEXTS
        if time.monotonic() - self._round_began > SLOW_SECONDS:
            return min(FIRST_SAMPLE, max(SLOW_SAMPLE, texts // SLOW_SHARE))
        return FIRST_SAMPLE

    def salvage(self) -> None:
        if not self._held:
            return
        try:
            if isinstance(self._model, ServedEncoder):
                # A server that is down would make every request wait until its retries are used up.
                future = self._model.submit(self._held[0].sent[:1], self._role)
                try:
                    future.result(timeout=SALVAGE_SECONDS)
                finally:
                    future.cancel()
            self.finish_round()
        except DifferentVectorsError:
            raise
        except (ModelError, TookTooLongError):
            self.unverified = sum(len(held.texts) for held in self._held)
            self._held.clear()


def choose(batches: Sequence[_Held], count: int, chance: random.Random) -> list[Received]:
    """Return a random sample of texts from as many batches as possible.

    The longest text of all and the shortest come first, so that the shortest is asked for again right after the
    longest. Then come two texts of a batch whose texts are equally long, if there is one.
    """
    places = [(number, row) for number, batch in enumerate(batches) for row in range(len(batch.texts))]

    def length(place: tuple[int, int]) -> int:
        return batches[place[0]].sent[place[1]].length

    even = [
        number
        for number, batch in enumerate(batches)
        if len(batch.texts) > 1 and len({text.length for text in batch.sent}) == 1
    ]
    chosen = dict.fromkeys([max(places, key=length), min(places, key=length)])
    if even:
        number = chance.choice(even)
        chosen |= dict.fromkeys((number, row) for row in chance.sample(range(len(batches[number].texts)), 2))
    rows = [[(number, row) for row in _shuffled(len(batch.texts), chance)] for number, batch in enumerate(batches)]
    turns = [rows[number] for number in _shuffled(len(batches), chance)]
    # One text of each batch, then a second one of each, and so on.
    for place in chain.from_iterable(zip_longest(*turns)):
        if len(chosen) >= count:
            break
        if place is not None:
            chosen[place] = None
    return [batches[number].received(row) for number, row in chosen]


def _shuffled(count: int, chance: random.Random) -> list[int]:
    return chance.sample(range(count), count)
