"""Length of text that the model sees: the last position where a change moves the vector."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pytest_embedbench.conformance.outcome import Probe, ProbeOutcome, judged, skipped, unchecked
from pytest_embedbench.conformance.samples import OTHER_WORDS, WORDS
from pytest_embedbench.conformance.subject import Subject

MAX_TOKENS = {"cpu": 1024}
"""Tokens of the probed text, at most, by kind of device: on a CPU longer texts take minutes with a large model."""

DEFAULT_MAX_TOKENS = 8192
"""Tokens of the probed text, at most, on other devices and behind a server."""

ESTIMATED_SHARE = 0.9
"""Share of the declared length that is probed if tokens are only estimated, from a server's counts."""

TEXT_PARTS = 20
"""Parts of the text; a change replaces one of them."""

MIN_MOVE = 10
"""Multiple of the distance between two encodings of one text; a change counts if it moves the vector farther."""

MAX_NOISE = 2
"""Multiple of the same distance that a change without any effect stays below; between the two nothing can be said."""

ROUNDING = 1e-6
"""Share of a vector's length that rounding in float32 moves it."""


def _context(subject: Subject) -> ProbeOutcome:
    spec, facts, known = subject.spec, subject.facts, subject.declared
    # The user's own cut comes first: behind it the model sees nothing, whatever it could take.
    declared = spec.max_seq_length or spec.max_tokens or (known and known.max_tokens) or facts.max_tokens
    if not declared and spec.kind == "sentence-transformers":
        return skipped("it has no maximal length")
    if not declared:
        reason = "whether texts are cut early, since nothing says how long they may be"
        return unchecked(f"{reason}; max_tokens in its definition does")
    device = facts.device.partition(":")[0]
    wanted = min(declared, MAX_TOKENS.get(device, DEFAULT_MAX_TOKENS))
    words = _words(subject, wanted)
    seen = _words_seen(subject, words)
    if seen is None:
        return unchecked("whether texts are cut early, since one text gets vectors as far apart as other texts do")
    tokens = _tokens(subject, words[:seen])
    whole = _tokens(subject, words)
    problems = [] if seen == len(words) else [
        f"what stands after about {tokens} tokens does not move the vector; {declared} are declared"
    ]  # fmt: skip
    return judged(
        problems,
        cause="the server cuts texts in silence (a maximal length or batch of 512, num_ctx in Ollama), or "
        "sentence_bert_config.json has a smaller max_seq_length",
        fix="raise the server's limit, or declare what it has: max_tokens in the model's definition",
        measured=f"{tokens} tokens",
        limit=f">= {whole}" + (f" of {declared} declared" if whole < declared else ""),
        value=tokens,
        values={"tokens_looked_at": float(whole), "tokens_declared": float(declared)},
    )


def _words_seen(subject: Subject, words: Sequence[str]) -> int | None:
    """Return the number of words from the start that the model sees, to the nearest part, by bisection.

    None if the vectors of one text differ so much that the effect of a change cannot be told from it.
    """
    import numpy as np

    part = max(len(OTHER_WORDS), len(words) // TEXT_PARTS)
    original, again = (subject.together([" ".join(words)], "document")[0] for _ in range(2))
    # Behind a server even the same text may not give the same vector twice. A local model often has no noise at all.
    noise, rounding = float(np.linalg.norm(original - again)), ROUNDING * float(np.linalg.norm(original))
    floor = max(rounding, MIN_MOVE * noise)

    def move(end: int) -> float:
        """Return how far a change of the part that ends before this word moves the vector."""
        changed = [*words[: end - part], *itertools.islice(itertools.cycle(OTHER_WORDS), part), *words[end:]]
        return float(np.linalg.norm(subject.together([" ".join(changed)], "document")[0] - original))

    last = move(len(words))
    if last > floor:
        return len(words)
    if last > max(rounding, MAX_NOISE * noise):
        return None
    low, high = 0, len(words)  # a change before ``low`` moves the vector, one before ``high`` does not
    while high - low > part:
        middle = (low + high) // 2
        low, high = (middle, high) if middle >= part and move(middle) > floor else (low, middle)
    if low > 2 * part or part <= len(OTHER_WORDS):
        return None if not low and noise > rounding else low
    # Near the start smaller parts tell more, where a server cuts at 64 tokens of 8,192; the text is short enough there.
    return _words_seen(subject, words[: low + part])


def _words(subject: Subject, tokens: int) -> list[str]:
    """Return as many words as fit into this many tokens, with all that the model adds to a text.

    Fewer if tokens are only estimated.
    """
    every = list(itertools.islice(itertools.cycle(WORDS), tokens))
    exact = subject.facts.max_tokens is not None and not subject.served
    room = tokens if exact else int(ESTIMATED_SHARE * tokens)
    low, high = 1, len(every)
    while high - low > 1:
        middle = (low + high) // 2
        # A text that was cut has exactly the maximal length, so only a shorter one is known to be whole.
        low, high = (middle, high) if _length(subject, every[:middle]) < room else (low, middle)
    return every[:low]


def _length(subject: Subject, words: Sequence[str]) -> int:
    (text,) = subject.model.prepare([" ".join(words)], "document")
    return text.length


def _tokens(subject: Subject, words: Sequence[str]) -> int:
    return _length(subject, words) if words else 0


PROBES = (Probe("context", "Does a change at the end of the longest text move the vector?", _context),)
