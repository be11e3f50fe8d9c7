"""Does the model understand anything: the right answer beats unrelated ones, with all dimensions and with fewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_embedbench.conformance.outcome import Outcome, Probe, judged, skipped
from pytest_embedbench.conformance.samples import ANSWERS
from pytest_embedbench.conformance.subject import Subject

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_embedbench.models.protocol import Vectors

WRONG = 1
"""Questions of the twelve that may be answered wrongly."""


def _sanity(subject: Subject) -> Outcome:
    if reason := _foreign(subject):
        return skipped(reason)
    places = _places(*_vectors(subject))
    return _judge(places, "usual cause: wrong pooling, weights that were initialized anew, or another tokenizer")


def _matryoshka(subject: Subject) -> Outcome:
    sizes = subject.spec.matryoshka or (subject.declared.matryoshka if subject.declared else ())
    if not sizes:
        return skipped("no shorter vectors are declared (matryoshka)")
    if reason := _foreign(subject):
        return skipped(reason)
    queries, documents = _vectors(subject)
    if too_many := [size for size in sizes if size > queries.shape[1]]:
        return judged(
            [f"{too_many[0]} dimensions are declared, vectors have {queries.shape[1]}"],
            "fix: correct matryoshka in the model's definition",
            measured=str(queries.shape[1]),
            limit=f">= {too_many[0]}",
        )
    worst = min(sizes, key=lambda size: int((_places(_cut(queries, size), _cut(documents, size)) == 1).sum()))
    return _judge(
        _places(_cut(queries, worst), _cut(documents, worst)),
        "usual cause: the model was not trained for shorter vectors, or its dimensions come in another order",
        f"with the first {worst} dimensions ",
    )


def _foreign(subject: Subject) -> str:
    known = subject.declared.languages if subject.declared else ()
    languages = subject.spec.languages or known
    english = not languages or any(language.startswith("eng") for language in languages)
    return "" if english else "the questions are English, and the model is not declared for it"


def _vectors(subject: Subject) -> tuple[Vectors, Vectors]:
    return subject.alone(list(ANSWERS), "query"), subject.alone(list(ANSWERS.values()), "document")


def _cut(vectors: Vectors, size: int) -> Vectors:
    cut: Vectors = vectors[:, :size]
    unit: Vectors = cut / np.maximum(np.linalg.norm(cut, axis=1, keepdims=True), np.float32(1e-12))
    return unit


def _places(queries: Vectors, documents: Vectors) -> NDArray[np.int64]:
    """The rank of each question's answer by inner product, from 1; equal scores and NaN count against it."""
    scores = np.nan_to_num(queries.astype(np.float64) @ documents.T.astype(np.float64), nan=-np.inf)
    own = np.diag(scores)[:, None]
    others = ~np.eye(len(scores), dtype=bool)
    return np.asarray(1 + ((scores >= own) & others).sum(axis=1), dtype=np.int64)


def _judge(places: NDArray[np.int64], cause: str, where: str = "") -> Outcome:
    right, asked = int((places == 1).sum()), len(places)
    failed = [question for question, place in zip(ANSWERS, places, strict=True) if place > 1]
    problems = [f"{where}{asked - right} of {asked} easy questions are not answered; first: {failed[0]!r}"] if (
        asked - right > WRONG
    ) else []  # fmt: skip
    return judged(
        problems,
        f"{cause}\nfix: compare with the original checkpoint's vectors: reference = MODEL in its definition",
        measured=f"{right} of {asked} answered",
        limit=f">= {asked - WRONG}",
        value=right,
        values={question: float(place) for question, place in zip(ANSWERS, places, strict=True)},
    )


PROBES = (
    Probe("sanity", "Does the right answer beat unrelated ones?", _sanity),
    Probe("matryoshka", "Do the declared shorter vectors still answer?", _matryoshka),
)
