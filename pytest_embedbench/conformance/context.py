"""How much of a long text the model sees: the last place where a change moves the vector."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from pytest_embedbench.conformance.outcome import Outcome, Probe, judged, skipped
from pytest_embedbench.conformance.samples import OTHER_WORDS, WORDS
from pytest_embedbench.conformance.subject import Subject

REACH = {"cpu": 1024}
LONGEST = 8192
"""Tokens looked at, at most: on a CPU longer texts take minutes with a large model."""

MARGIN = 0.9
"""Share of the declared length that is looked at where tokens are only estimated, by a server's counts."""

PARTS = 20
"""A change is a twentieth of the text."""

NOISE = 10
"""A change must move the vector so many times as far as asking twice does."""


def _context(subject: Subject) -> Outcome:
    spec, facts, known = subject.spec, subject.facts, subject.declared
    declared = spec.max_seq_length or spec.max_tokens or (known and known.max_tokens) or facts.max_tokens
    if not declared:
        return skipped("no maximal length is declared (max_tokens)")
    device = facts.device.partition(":")[0]
    wanted = min(declared, REACH.get(device, LONGEST))
    words = _words(subject, wanted)
    part = max(len(OTHER_WORDS), len(words) // PARTS)
    original, again = (subject.together([" ".join(words)], "document")[0] for _ in range(2))
    floor = max(1e-6 * float(np.linalg.norm(original)), NOISE * float(np.linalg.norm(original - again)))

    def moves(end: int) -> bool:
        """Does a change of the words before this place move the vector?"""
        changed = [*words[: end - part], *itertools.islice(itertools.cycle(OTHER_WORDS), part), *words[end:]]
        return float(np.linalg.norm(subject.together([" ".join(changed)], "document")[0] - original)) > floor

    seen = len(words)
    if not moves(seen):
        low, high = 0, seen  # a change before ``low`` moves the vector, one before ``high`` does not
        while high - low > part:
            middle = (low + high) // 2
            low, high = (middle, high) if middle >= part and moves(middle) else (low, middle)
        seen = low
    tokens = _tokens(subject, words[:seen])
    whole = _tokens(subject, words)
    problems = [] if seen == len(words) else [
        f"what stands after about {tokens} tokens does not move the vector; {declared} are declared"
    ]  # fmt: skip
    return judged(
        problems,
        "usual cause: the server cuts texts in silence (a maximal length or batch of 512, num_ctx in Ollama), or "
        "sentence_bert_config.json has a smaller max_seq_length\n"
        "fix: raise the server's limit, or declare what it has: max_tokens in the model's definition",
        measured=f"{tokens} tokens",
        limit=f">= {whole}" + (f" of {declared} declared" if whole < declared else ""),
        value=tokens,
        values={"tokens_looked_at": float(whole), "tokens_declared": float(declared)},
    )


def _words(subject: Subject, tokens: int) -> list[str]:
    """As many words as fit into so many tokens with all that the model adds; of estimated tokens, somewhat fewer."""
    every = list(itertools.islice(itertools.cycle(WORDS), tokens))
    exact = subject.facts.max_tokens is not None and not subject.served
    room = tokens if exact else int(MARGIN * tokens)
    low, high = 1, len(every)
    while high - low > 1:
        middle = (low + high) // 2
        # Of a text that was cut, only the limit is known: it must stay below it.
        low, high = (middle, high) if _length(subject, every[:middle]) < room else (low, middle)
    return every[:low]


def _length(subject: Subject, words: Sequence[str]) -> int:
    (text,) = subject.model.prepare([" ".join(words)], "document")
    return text.length


def _tokens(subject: Subject, words: Sequence[str]) -> int:
    return _length(subject, words) if words else 0


PROBES = (Probe("context", "Does a change at the end of the longest text move the vector?", _context),)
