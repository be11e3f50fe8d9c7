"""The encode loop: tokenize once, batch by tokens, write each vector to its text's position.

The loop goes window by window, so that memory holds two windows at a time, however large the corpus is. While the
batches of a window run, the next window is tokenized. Batches of two windows follow each other without a break, so that
no worker waits at the end of a window.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from pytest_embedbench.core.batching import batches, distinct
from pytest_embedbench.encode.batch_budget import Budget
from pytest_embedbench.encode.keeping import Asking, keeping
from pytest_embedbench.encode.lookup import NoCache
from pytest_embedbench.encode.memory import DoesNotFitError, forward_in_halves
from pytest_embedbench.encode.tokenizing import TokenForecast, Tokenized, tokenizing
from pytest_embedbench.encode.verification import DifferentVectorsError
from pytest_embedbench.encode.window import Window, WindowBatch, windows
from pytest_embedbench.encode.workers import run_batches
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import AnsweredBatch, ParallelEncoder, PreparedText, ServedEncoder, check_vectors
from pytest_embedbench.models.served.requests import answers
from pytest_embedbench.models.text_errors import UnusableTextsError

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.encode.lookup import Cache
    from pytest_embedbench.encode.progress import Progress
    from pytest_embedbench.models.protocol import Encoder, Vectors


@dataclass(kw_only=True)
class Work:
    """Amount of encoding work: texts, tokens and seconds.

    ``own_tokens`` counts the tokens of the texts themselves, ``tokens`` adds prompts and special tokens,
    ``padded_tokens`` adds padding. ``padded_tokens`` and ``seconds`` are of the texts that the model encoded; the other
    two also count the ``cached_texts``, which came from the cache, with their ``cached_own_tokens``.
    """

    own_tokens: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    seconds: float = 0.0
    cached_texts: int = 0
    cached_own_tokens: int = 0
    full_texts: int = 0
    """Distinct texts that fill the model's maximal length: they were cut, except for a few that just fit. 0 where the
    length is unknown."""
    server_ms: dict[str, float] = field(default_factory=dict)
    """A server's own times by name: milliseconds a request, the mean."""


@dataclass(kw_only=True)
class Encoded(Work):
    """Vectors of all texts, with the work that they took.

    ``vectors`` has shape (distinct texts, dimensions), float32; ``indices`` has the row of each input text.
    """

    vectors: Vectors
    indices: list[int]


def encode(
    model: Encoder,
    texts: Sequence[str],
    role: Role,
    *,
    batch_tokens: int | Budget,
    progress: Progress,
    cache: Cache | None = None,
    most_tokens: int | None = None,
    label: str = "",
) -> Encoded:
    """Encode texts for a role and return all their vectors in memory.

    The arguments are those of ``Stream``; texts may repeat.

    Raises:
        ModelError: as ``Stream``.
    """
    budget = batch_tokens if isinstance(batch_tokens, Budget) else Budget(batch_tokens)
    unique, indices = distinct(texts)
    stream = Stream(
        model, unique, role, budget=budget, progress=progress, cache=cache, most_tokens=most_tokens, label=label
    )
    vectors: Vectors | None = None
    for window in stream:
        if vectors is None:
            vectors = np.empty((len(unique), window.vectors.shape[1]), dtype=np.float32)
        vectors[window.positions] = window.vectors
    if vectors is None:  # no texts
        vectors = np.empty((0, 0), dtype=np.float32)
    return Encoded(vectors=vectors, indices=indices, **vars(stream.work))


class Stream:
    """Iterator over the windows of distinct texts, each with the vectors of its texts.

    Vectors that the cache has are not computed again. Each new batch goes to the cache, from servers and functions once
    a sample of it is verified (``keeping``): until the stream ends, vectors that it gave may turn out to be wrong. A
    stream can be iterated once; afterwards ``work`` holds the amount of work.

    Args:
        model: the model that encodes.
        texts: distinct texts.
        role: query or document.
        budget: tokens that a batch may hold.
        progress: callbacks for the tokens encoded.
        cache: cache of this model and role.
        first: positions of texts that come first, in a window of their own.
        most_tokens: bound on a batch's tokens, for texts that need smaller batches than the budget's.
        label: label of the progress; the role by default.

    Raises:
        ModelError: a vector holds NaN or infinity, or a text does not fit into memory; the message names the text. Or a
            server failed; the message says how many texts were encoded until then, and whether the cache keeps them.
            Or a text that was asked for again got another vector (``DifferentVectorsError``).
    """

    def __init__(  # noqa: PLR0913 - by keyword, what encoding depends on
        self,
        model: Encoder,
        texts: Sequence[str],
        role: Role,
        *,
        budget: Budget,
        progress: Progress,
        cache: Cache | None = None,
        first: Sequence[int] = (),
        most_tokens: int | None = None,
        label: str = "",
    ) -> None:
        self.work = Work()
        self._model, self._texts, self._role = model, texts, role
        self._budget, self._most_tokens = budget, most_tokens
        self._progress, self._label = progress, label or role
        self._cache: Cache = cache or NoCache()
        self._keeping = keeping(model, role, self._cache, Asking(self._expect, progress.advance))
        self._limits = model.limits if isinstance(model, ServedEncoder) else None
        self._window_positions = windows(texts, first)
        self._pending: deque[Window] = deque()
        self._forecast = TokenForecast(texts)
        self._encoded_texts = 0
        self._server_ms: Counter[str] = Counter()
        self._answers_with: Counter[str] = Counter()
        self._aside_seconds = 0.0
        """Seconds that this thread spent on work other than the model's: reading and writing the cache, searching."""

    def __iter__(self) -> Generator[Window]:
        with tokenizing(self._model, self._role) as tokenize:
            started = time.perf_counter()
            tokenized = self._tokenized(tokenize)
            # The first window is tokenized before the progress starts, so that it can show an estimate of all tokens.
            head = list(islice(tokenized, 1))
            aside_at_start = self._aside_seconds
            self._progress.start(self._label, self._forecast.tokens)
            try:
                # Where the caller stops early, workers and requests end at once, not at the next garbage collection.
                with closing(self._encoded(self._batches(chain(head, tokenized)))) as answered:
                    for batch, answer in answered:
                        self._store(batch, answer)
                        yield from self._finished()
                    yield from self._finished()
            except DifferentVectorsError:
                raise
            except ModelError as error:
                self._keeping.salvage()
                if not self._limits:
                    raise
                encoded = f"{self._encoded_texts:,} of {self._forecast.texts:,} texts were encoded before{self._kept()}"
                if isinstance(error, UnusableTextsError):
                    raise error.saying(encoded.replace("encoded before", "encoded")) from None
                raise ModelError(f"{error.problem}\n  {encoded}", where=error.where, fix=error.fix) from None
            finally:
                self._progress.finish()
        # A model that works in other threads goes on while this thread does other work, so that takes none of its time.
        alone = not isinstance(self._model, (ParallelEncoder, ServedEncoder))
        aside = self._aside_seconds if alone else aside_at_start
        self.work.seconds = time.perf_counter() - started - aside - self._keeping.seconds
        self.work.server_ms = {name: total / self._answers_with[name] for name, total in self._server_ms.items()}

    def _kept(self) -> str:
        """Return how much of what was encoded before a failure the next run finds in the cache."""
        if isinstance(self._cache, NoCache):
            return ""
        lost = self._keeping.unverified
        kept = f"{self._encoded_texts - lost:,} of them" if lost else "them"
        why = "; the others could not be verified any more" if lost else ""
        return f"; the embedding cache has {kept} for the next run{why}"

    @contextmanager
    def _aside(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self._aside_seconds += time.perf_counter() - began

    def _tokenized(self, tokenize: Callable[[Sequence[str]], Tokenized]) -> Iterator[Window]:
        """Yield windows with their tokens; the next window's tokenization begins before a window is yielded."""
        ahead: deque[tuple[Window, Tokenized]] = deque()
        for positions in self._window_positions:
            texts = [self._texts[position] for position in positions]
            with self._aside():
                cached = self._cache.read(texts)
            ahead.append((Window(positions, texts, cached), tokenize([texts[index] for index in cached.missing])))
            if len(ahead) > 1:
                yield self._with_tokens(*ahead.popleft())
        for window, tokens in ahead:
            yield self._with_tokens(window, tokens)

    def _with_tokens(self, window: Window, tokens: Tokenized) -> Window:
        window.prepared = tokens()
        self._forecast.add(window)
        return window

    def _expect(self) -> None:
        """Give the progress a new estimate of all tokens, those of texts that are asked for again included."""
        self._progress.expect(self._forecast.tokens + self._keeping.tokens)

    def _batches(self, tokenized: Iterator[Window]) -> Iterator[WindowBatch]:
        drawn = 0  # the budget that the current batch was cut under

        def draw() -> int:
            nonlocal drawn
            drawn = self._budget.draw()
            return min([drawn, *([self._limits.tokens] if self._limits else []), self._most_tokens or drawn])

        for number, window in enumerate(tokenized):
            if number:
                self._expect()
            if self._most_tokens is None:
                self._budget.expect(self._forecast.tokens)
            self._pending.append(window)
            lengths = [text.length for text in window.prepared]
            for indices in batches(lengths, draw, self._limits.texts if self._limits else None):
                yield WindowBatch(window, indices, [window.prepared[index] for index in indices], drawn)

    def _encoded(self, window_batches: Iterator[WindowBatch]) -> Generator[tuple[WindowBatch, AnsweredBatch]]:
        broken: UnusableTextsError | None = None
        for part in self._keeping.rounds(window_batches):
            try:
                yield from self._answered(part)
            except UnusableTextsError as error:
                broken = error.after(broken)
                if not error.complete:
                    raise broken from None
                # The other texts are encoded and kept, but nobody gets a window that lacks vectors.
                self._pending.clear()
            self._keeping.finish_round()
        if broken:
            raise broken

    def _answered(self, window_batches: Iterator[WindowBatch]) -> Generator[tuple[WindowBatch, AnsweredBatch]]:
        if isinstance(self._model, ServedEncoder):
            yield from answers(self._model, window_batches, self._role)
            return
        with closing(run_batches(self._model, window_batches, self._forward)) as results:
            try:
                for batch, (vectors, seconds) in results:
                    self._budget.record(batch.budget, sum(text.length for text in batch.prepared), seconds)
                    yield batch, AnsweredBatch(vectors, batch.prepared, {})
            except DoesNotFitError as error:
                raise self._does_not_fit(error.text) from error

    def _forward(self, batch: WindowBatch) -> Vectors:
        return forward_in_halves(
            lambda texts: self._model.forward(texts, self._role), batch.prepared, self._budget.exceeded
        )

    def _does_not_fit(self, text: PreparedText) -> ModelError:
        # By identity: different texts may be cut to the same tokens.
        raw = next(
            window.texts[window.missing[index]]
            for window in self._pending
            for index, other in enumerate(window.prepared)
            if other is text
        )
        problem = (
            f"this {self._role} of {text.length:,} tokens does not fit into memory, alone in its batch: {raw[:200]!r}"
        )
        fix = "max_seq_length in the model's definition cuts texts; --embed-dtype=bf16 halves the memory that they take"
        return ModelError(problem, fix=fix)

    def _store(self, batch: WindowBatch, answer: AnsweredBatch) -> None:
        check_vectors(answer.vectors, batch.texts, self._role)
        self._progress.count(self._encoded_texts + len(answer.texts), self._forecast.texts)
        self._progress.advance(sum(text.length for text in batch.prepared))
        batch.window.put(batch.indices, answer.texts, answer.vectors)
        lengths = [text.length for text in answer.texts]
        self.work.padded_tokens += max(lengths) * len(lengths) if self._model.facts.pads else sum(lengths)
        self._encoded_texts += len(answer.texts)
        self._server_ms.update(answer.server_ms)
        self._answers_with.update(answer.server_ms.keys())
        with self._aside():
            self._keeping.add(batch, answer)

    def _finished(self) -> Iterator[Window]:
        """Yield the windows at the head of the queue that have all their vectors."""
        while self._pending and not self._pending[0].left:
            window = self._pending.popleft()
            self._add_to_work(window)
            with self._aside():  # what the caller does with the window, such as searching it
                yield window

    def _add_to_work(self, window: Window) -> None:
        cached, work = window.cached, self.work
        work.own_tokens += cached.own_tokens + sum(text.own_tokens for text in window.prepared)
        work.tokens += cached.tokens + sum(text.length for text in window.prepared)
        work.cached_texts += len(window.positions) - len(window.missing)
        work.cached_own_tokens += cached.own_tokens
        if longest := self._model.facts.max_tokens:
            # A server's count of a text may exceed what its model takes.
            work.full_texts += cached.full_texts + sum(text.length >= longest for text in window.prepared)
