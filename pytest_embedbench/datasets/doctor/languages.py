"""Detect the languages and scripts of a sample of documents."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from pytest_embedbench.datasets.types import Dataset, Finding

T = TypeVar("T")

MAX_DOCUMENTS = 500
"""Documents in the sample, evenly spaced over the corpus."""
MAX_CHARACTERS = 1000
"""Characters of a document that are looked at, from its start."""
MIN_CONFIDENCE = 0.8
"""Confidence from which a guess counts: on names, numbers and tables the detector is wrong, and less confident."""
MIN_LANGUAGE_SHARE = 0.02
"""Share of the documents from which a language is reported: up to 0.5% of real English ones are taken for others."""
MIN_SCRIPT_SHARE = 0.001
"""Share of the letters from which a script is reported: signs such as ``MICRO SIGN`` count as letters."""
MIN_DISTANCE = 15
"""Distance, by CLDR's measure, from which two languages are different: Norwegian and Bokmål have 1, dialects of Arabic
10 to 14; Spanish and Catalan have 20."""


class Languages(msgspec.Struct, frozen=True, kw_only=True):
    """Languages of a sample of documents, beside those that the dataset declares."""

    sampled: int
    """Documents in the sample."""
    declared: list[str]
    """MTEB's codes, e.g. ``eng-Latn``."""
    found: dict[str, int]
    """ISO 639 code -> documents that the detector is confident about, most frequent language first."""


def evenly_spaced(items: Sequence[T], max_items: int) -> list[T]:
    """Return at most so many items, evenly spaced; the same ones in every run."""
    if len(items) <= max_items:
        return list(items)
    return [items[index * len(items) // max_items] for index in range(max_items)]


def scripts(dataset: Dataset) -> dict[str, float]:
    """Return each script's share of the letters in a sample of documents; rare scripts are left out.

    A script is the first word of Unicode's names of its letters: ``LATIN``, ``CJK``.
    """
    text = "".join(text[:MAX_CHARACTERS] for text in evenly_spaced(dataset.doc_texts, MAX_DOCUMENTS))
    letters: Counter[str] = Counter()
    for character, count in Counter(text).items():
        if character.isalpha():
            letters[unicodedata.name(character, "UNKNOWN").partition(" ")[0]] += count
    total = letters.total()
    return {script: count / total for script, count in letters.most_common() if count >= MIN_SCRIPT_SHARE * total}


def languages(dataset: Dataset) -> tuple[Languages, list[Finding]]:
    """Return the languages of a sample of documents, and a finding if they are not those that the dataset declares.

    Raises:
        ImportError: py3langid or langcodes is not installed.
    """
    # Naive Bayes over byte n-grams. Its model is part of the wheel, and the same text always gets the same answer.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    sample = evenly_spaced(list(zip(dataset.doc_ids, dataset.doc_texts, strict=True)), MAX_DOCUMENTS)
    guesses = [(doc, *identifier.classify(text[:MAX_CHARACTERS])) for doc, text in sample]
    # zxx is ISO's code for text in no language, such as numbers.
    confident = {doc: code for doc, code, confidence in guesses if confidence >= MIN_CONFIDENCE and code != "zxx"}
    counts = dict(Counter(confident.values()).most_common())
    # und is ISO's code for an undetermined language: nothing to compare with.
    declared = [code for code in dataset.facts.languages if not code.startswith("und")]
    return Languages(sampled=len(sample), declared=declared, found=counts), _unexpected(confident, declared)


def _unexpected(language_of: dict[str, str], declared: Sequence[str]) -> list[Finding]:
    """Return a finding if documents are in undeclared languages, or, if none is declared, not in the commonest one."""
    counts = Counter(language_of.values())
    expected = declared or [code for code, _ in counts.most_common(1)]
    others = {
        code: count
        for code, count in counts.most_common()
        if count >= MIN_LANGUAGE_SHARE * len(language_of) and not _is_among(code, expected)
    }
    if not others:
        return []
    shown = ", ".join(f"{code} {count / len(language_of):.0%}" for code, count in others.items())
    doc, code = next((doc, code) for doc, code in language_of.items() if code in others)
    known = f"the dataset declares {', '.join(declared)}" if declared else f"most are in {expected[0]}"
    return [
        Finding(
            code="undeclared-languages" if declared else "mixed-languages",
            message=f"documents of {len(language_of):,} sampled ones are in other languages ({shown}); {known}",
            count=sum(others.values()),
            first=f"{doc} ({code})",
            fix='declare every language (languages = ["eng-Latn", ...]), or remove these documents',
        )
    ]


def _is_among(code: str, expected: Sequence[str]) -> bool:
    """Whether the detector's code is one of these languages, which are MTEB's codes such as ``nob-Latn``."""
    from langcodes import tag_distance

    # The detector has two-letter codes without a script, MTEB ISO 639-3 with one: tag_distance compares both kinds.
    return any(tag_distance(code, other.partition("-")[0]) < MIN_DISTANCE for other in expected)
