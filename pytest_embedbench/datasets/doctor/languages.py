"""Which languages and scripts the documents are in, by a sample."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from pytest_embedbench.datasets.types import Dataset, Finding

T = TypeVar("T")

SAMPLE = 500
"""Documents looked at, evenly spaced over the corpus."""
CHARACTERS = 1000
"""Of each of them, from its start."""
SURE = 0.8
"""Confidence from which a guess counts; on names, numbers and tables the detector is wrong, and unsure."""
SHARE = 0.02
"""A language with a smaller share of the documents is not reported: of real English ones, up to 0.5% are taken for
others."""
RARE = 0.001
SAME = 15
"""Languages that are nearer than this by CLDR's measure count as one: Norwegian and Bokmål have 1, dialects of Arabic
10 to 14; Spanish and Catalan have 20."""
INSTALL = "pip install 'pytest-embedbench[doctor]'"


class Languages(msgspec.Struct, frozen=True, kw_only=True):
    """``found``: ISO 639 code -> documents of the sample that are surely in that language, most first."""

    sampled: int
    declared: list[str]
    found: dict[str, int]


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most ``most`` items, evenly spaced; the same ones in every run."""
    if len(items) <= most:
        return list(items)
    return [items[index * len(items) // most] for index in range(most)]


def scripts(dataset: Dataset) -> dict[str, float]:
    """Script -> its share of the sample's letters, as Unicode's names of letters begin: ``LATIN``, ``CJK``.

    Shares below ``RARE`` are left out: signs such as ``MICRO SIGN`` count as letters.
    """
    text = "".join(text[:CHARACTERS] for text in spread(dataset.doc_texts, SAMPLE))
    found: Counter[str] = Counter()
    for character, count in Counter(text).items():
        if character.isalpha():
            found[unicodedata.name(character, "UNKNOWN").partition(" ")[0]] += count
    return {script: count / found.total() for script, count in found.most_common() if count >= RARE * found.total()}


def languages(dataset: Dataset) -> tuple[Languages, list[Finding]]:
    """The languages of a sample of documents, and a finding where they are not those that the dataset declares.

    Raises:
        ImportError: py3langid or langcodes is not installed.
    """
    # Naive Bayes over byte n-grams: its model is inside the wheel, and the same text always has the same answer.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    chosen = spread(list(zip(dataset.doc_ids, dataset.doc_texts, strict=True)), SAMPLE)
    guesses = [(doc, *identifier.classify(text[:CHARACTERS])) for doc, text in chosen]
    # zxx is ISO's code for text in no language, such as numbers.
    sure = {doc: code for doc, code, confidence in guesses if confidence >= SURE and code != "zxx"}
    found = Counter(sure.values()).most_common()
    declared = [code for code in dataset.facts.languages if not code.startswith("und")]
    return Languages(sampled=len(chosen), declared=declared, found=dict(found)), _unexpected(sure, declared)


def _unexpected(sure: dict[str, str], declared: Sequence[str]) -> list[Finding]:
    counts = Counter(sure.values())
    expected = declared or [code for code, _ in counts.most_common(1)]
    others = {
        code: count for code, count in counts.most_common() if count >= SHARE * len(sure) and not _among(code, expected)
    }
    if not others:
        return []
    shown = ", ".join(f"{code} {count / len(sure):.0%}" for code, count in others.items())
    doc, code = next((doc, code) for doc, code in sure.items() if code in others)
    known = f"the dataset declares {', '.join(declared)}" if declared else f"most are in {expected[0]}"
    return [
        Finding(
            code="undeclared-languages" if declared else "mixed-languages",
            message=f"documents of {len(sure):,} sampled ones are in other languages ({shown}); {known}",
            count=sum(others.values()),
            first=f"{doc} ({code})",
            fix='declare every language (languages = ["eng-Latn", ...]), or take these documents out',
        )
    ]


def _among(code: str, expected: Sequence[str]) -> bool:
    """Is the detector's code one of these languages, which MTEB writes as ``nob-Latn``?"""
    from langcodes import tag_distance

    # The detector knows no scripts, and MTEB's codes of languages are ISO 639-3.
    return any(tag_distance(code, other.partition("-")[0]) < SAME for other in expected)
