"""A batch whose texts have equally many tokens, as the encode loop makes them of texts sorted by length."""

from __future__ import annotations

from collections import Counter

from pytest_embedbench.conformance.outcome import Probe, ProbeOutcome, skipped
from pytest_embedbench.conformance.repeat import judge_distances
from pytest_embedbench.conformance.samples import WORDS
from pytest_embedbench.conformance.subject import Subject, distances

TEXT_WORDS = 9
"""Words of each text; most vocabularies have one token for each of them."""

MIN_TEXTS = 3
"""Texts of the batch, at least."""

EQUAL_TEXTS = tuple(
    " ".join(WORDS[start : start + TEXT_WORDS]) for start in range(0, len(WORDS) - TEXT_WORDS + 1, TEXT_WORDS)
)


def _equal_length(subject: Subject) -> ProbeOutcome:
    # Where tokens are only estimated, by characters, texts of as many words must do.
    lengths = [text.length for text in subject.model.prepare(EQUAL_TEXTS, "document")]
    exact = not subject.served and subject.facts.max_tokens is not None
    usual, count = Counter(lengths).most_common(1)[0]
    if exact and count < MIN_TEXTS:
        return skipped("its tokenizer gives the texts of this probe different numbers of tokens")
    texts = [text for text, length in zip(EQUAL_TEXTS, lengths, strict=True) if not exact or length == usual]
    apart = distances(subject.alone(texts, "document"), subject.together(texts, "document"))
    return judge_distances(
        subject,
        dict(zip(texts, apart.tolist(), strict=True)),
        f"alone, and in a batch of {len(texts)} texts of equal length",
        cause="a batch without padding takes another path, e.g. without a mask, or its texts are taken for one",
        fix="batch_texts = 1 in the model's definition, or a version of the server or library without this fault",
    )


PROBES = (Probe("equal-length", "Do texts of equal length get the same vectors alone and together?", _equal_length),)
