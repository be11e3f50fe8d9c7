"""The encode loop: tokenize once, batch by tokens, write each vector to its place.

It goes window by window, so that memory holds two of them, whatever the corpus. While a window's batches run, the next
one is tokenized, and batches follow each other from window to window, so that no worker waits at a window's end.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from pytest_embedbench.core.batching import batches, distinct
from pytest_embedbench.encode.batch_budget import Budget
from pytest_embedbench.encode.lookup import NoCache
from pytest_embedbench.encode.memory import DoesNotFitError, forward_in_halves
from pytest_embedbench.encode.window import Window, WindowBatch, windows
from pytest_embedbench.encode.workers import run_batches
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import Answered, ParallelEncoder, PreparedText, ServedEncoder, refuse_broken
from pytest_embedbench.models.served.requests import answers

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.encode.lookup import Cache
    from pytest_embedbench.encode.progress import Progress
    from pytest_embedbench.models.protocol import Encoder, Vectors

    Tokenized = Callable[[], list[PreparedText]]


@dataclass(kw_only=True)
class Work:
    """What encoding took.

    Tokens: ``own_tokens`` of the texts themselves, ``tokens`` with prompts and special tokens, ``padded_tokens``
    with padding. ``padded_tokens`` and ``seconds`` are of what was encoded; the other two also count the
    ``cached_texts``, which came from the cache and not from the model, with their ``cached_own_tokens``.
    """

    own_tokens: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    seconds: float = 0.0
    cached_texts: int = 0
    cached_own_tokens: int = 0
    full_texts: int = 0
    """Distinct texts that fill the model's length: they were cut, but for some that just fit. 0 where only the server
    knows."""
    server_ms: dict[str, float] = field(default_factory=dict)
    """What a server said of its own time: milliseconds a request, the mean, by name."""


@dataclass(kw_only=True)
class Encoded(Work):
    """All vectors of some texts, and what making them took.

    ``vectors`` has shape (distinct texts, dimensions), float32; ``indices`` gives each input text its row.
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
    """Encode texts for a role and keep all their vectors; arguments and errors are those of ``Stream``."""
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
    whole = np.empty((0, 0), dtype=np.float32) if vectors is None else vectors
    return Encoded(vectors=whole, indices=indices, **vars(stream.work))


class Stream:
    """Encodes distinct texts for a role, but for those that the cache knows; batches go to the cache as they are made.

    Iterating, which can be done once, gives windows in order, each with the vectors of its texts; ``work`` then says
    what was done.

    Args:
        model: encodes.
        texts: distinct.
        role: what they are.
        budget: tokens of a batch.
        progress: is told of tokens.
        cache: of this very model and role.
        first: places of texts that come first, in a window of their own.
        most_tokens: a bound on a batch's tokens where these texts want smaller batches than the budget's.
        label: what progress shows, else the role.

    Raises:
        ModelError: a vector holds NaN or infinity, or a text does not fit into memory; the message names the text. Or a
            server failed; the message says how many texts were encoded until then, and whether the cache keeps them.
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
        self._limits = model.limits if isinstance(model, ServedEncoder) else None
        self._cuts = windows(texts, first)
        self._ungiven: deque[Window] = deque()
        self._forecast = _Forecast(texts)
        self._done = 0
        self._server: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()
        self._aside = 0.0
        """Seconds of this thread that were not the model's."""

    def __iter__(self) -> Generator[Window]:
        with _tokenizing(self._model, self._role) as tokenize:
            started = time.perf_counter()
            tokenized = self._tokenized(tokenize)
            head = list(islice(tokenized, 1))
            unshared = self._aside
            self._progress.start(self._label, self._forecast.tokens)
            try:
                with closing(self._answered(self._jobs(chain(head, tokenized)))) as answered:
                    for job, answer in answered:
                        self._store(job, answer)
                        yield from self._give()
                    yield from self._give()
            except ModelError as error:
                if not self._limits:
                    raise
                kept = "" if isinstance(self._cache, NoCache) else "; the embedding cache has them for the next run"
                raise ModelError(
                    f"{error}\n  {self._done:,} of {self._forecast.texts:,} texts were encoded before{kept}"
                ) from None
            finally:
                self._progress.finish()
        # What this thread does aside costs no time of a model that works in others.
        alone = not isinstance(self._model, (ParallelEncoder, ServedEncoder))
        self.work.seconds = time.perf_counter() - started - (self._aside if alone else unshared)
        self.work.server_ms = {name: total / self._asked[name] for name, total in self._server.items()}

    @contextmanager
    def _set_aside(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self._aside += time.perf_counter() - began

    def _tokenized(self, tokenize: Callable[[Sequence[str]], Tokenized]) -> Iterator[Window]:
        """Windows with their tokens; the next one is begun before each is given."""
        ahead: deque[tuple[Window, Tokenized]] = deque()
        for places in self._cuts:
            texts = [self._texts[place] for place in places]
            with self._set_aside():
                found = self._cache.read(texts)
            ahead.append((Window(places, texts, found), tokenize([texts[index] for index in found.missing])))
            if len(ahead) > 1:
                yield self._counted(*ahead.popleft())
        for window, tokens in ahead:
            yield self._counted(window, tokens)

    def _counted(self, window: Window, tokens: Tokenized) -> Window:
        window.prepared = tokens()
        self._forecast.add(window)
        return window

    def _jobs(self, tokenized: Iterator[Window]) -> Iterator[WindowBatch]:
        drawn = 0

        def draw() -> int:
            nonlocal drawn
            drawn = self._budget.draw()
            return min([drawn, *([self._limits.tokens] if self._limits else []), self._most_tokens or drawn])

        for number, window in enumerate(tokenized):
            if number:
                self._progress.expect(self._forecast.tokens)
            if self._most_tokens is None:
                self._budget.expect(self._forecast.tokens)
            self._ungiven.append(window)
            lengths = [text.length for text in window.prepared]
            for batch in batches(lengths, draw, self._limits.texts if self._limits else None):
                yield WindowBatch(window, batch, [window.prepared[index] for index in batch], drawn)

    def _answered(self, jobs: Iterator[WindowBatch]) -> Generator[tuple[WindowBatch, Answered]]:
        if isinstance(self._model, ServedEncoder):
            yield from answers(self._model, jobs, self._role)
            return
        with closing(run_batches(self._model, jobs, self._forward)) as made:
            try:
                for job, (vectors, seconds) in made:
                    self._budget.took(job.budget, sum(text.length for text in job.prepared), seconds)
                    yield job, Answered(vectors, job.prepared, {})
            except DoesNotFitError as error:
                raise ModelError(self._too_long(error.text)) from error

    def _forward(self, job: WindowBatch) -> Vectors:
        return forward_in_halves(
            lambda batch: self._model.forward(batch, self._role), job.prepared, self._budget.exceeded
        )

    def _too_long(self, text: PreparedText) -> str:
        named = next(
            window.texts[window.missing[index]]
            for window in self._ungiven
            for index, other in enumerate(window.prepared)
            if other is text
        )
        fix = "max_seq_length in the model's definition cuts texts; --embed-dtype bf16 halves what they take"
        problem = f"this {self._role} of {text.length:,} tokens does not fit into memory, alone in its batch"
        return f"{problem}: {named[:200]!r}\n  fix: {fix}"

    def _store(self, job: WindowBatch, answer: Answered) -> None:
        refuse_broken(answer.vectors, job.texts, self._role)
        self._progress.advance(sum(text.length for text in job.prepared))
        job.window.put(job.batch, answer.texts, answer.vectors)
        lengths = [text.length for text in answer.texts]
        self.work.padded_tokens += max(lengths) * len(lengths) if self._model.facts.pads else sum(lengths)
        self._done += len(answer.texts)
        self._server.update(answer.server_ms)
        self._asked.update(answer.server_ms.keys())
        with self._set_aside():
            self._cache.write(job.texts, answer.texts, answer.vectors)

    def _give(self) -> Iterator[Window]:
        """The next windows that are whole."""
        while self._ungiven and not self._ungiven[0].left:
            window = self._ungiven.popleft()
            self._count(window)
            with self._set_aside():
                yield window

    def _count(self, window: Window) -> None:
        cached, work = window.cached, self.work
        work.own_tokens += cached.own_tokens + sum(text.own_tokens for text in window.prepared)
        work.tokens += cached.tokens + sum(text.length for text in window.prepared)
        work.cached_texts += len(window.positions) - len(window.missing)
        work.cached_own_tokens += cached.own_tokens
        if not self._limits:
            longest = self._model.facts.max_tokens
            work.full_texts += cached.full_texts + sum(text.length == longest for text in window.prepared)


class _Forecast:
    """Texts and tokens that are to be encoded: those of tokenized windows, and as many for the rest as they suggest."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = len(texts)
        self._tokens = self._characters = 0
        self._unseen = sum(map(len, texts))

    def add(self, window: Window) -> None:
        self.texts -= len(window.positions) - len(window.missing)
        self._tokens += sum(text.length for text in window.prepared)
        self._characters += sum(len(window.texts[index]) for index in window.missing)
        self._unseen -= sum(map(len, window.texts))

    @property
    def tokens(self) -> int:
        return self._tokens + round(self._unseen * self._tokens / max(1, self._characters))


@contextmanager
def _tokenizing(model: Encoder, role: Role) -> Iterator[Callable[[Sequence[str]], Tokenized]]:
    """Tokenizes in a thread of its own where the model may work in several, else when the result is asked for."""
    if not isinstance(model, ParallelEncoder):
        yield lambda texts: lambda: _prepare(model, texts, role)
        return
    with ThreadPoolExecutor(1, "embedbench-tokenize") as pool:
        try:
            yield lambda texts: pool.submit(_prepare, model, texts, role).result
        finally:
            pool.shutdown(cancel_futures=True)


def _prepare(model: Encoder, texts: Sequence[str], role: Role) -> list[PreparedText]:
    return model.prepare(texts, role) if texts else []
