"""Whether the model understands text: the right answer beats unrelated ones, with all dimensions and with fewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_embedbench.conformance.outcome import Probe, ProbeOutcome, judged, skipped
from pytest_embedbench.conformance.samples import ANSWERS
from pytest_embedbench.conformance.subject import Subject
from pytest_embedbench.core.similarity import DEFAULT_SIMILARITY, Similarity, scores
from pytest_embedbench.core.unit_vectors import unit_vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_embedbench.models.protocol import Vectors
    from pytest_embedbench.models.spec import ModelSpec

MAX_WRONG_ANSWERS = 1
"""Questions of the twelve that may be answered wrongly."""


def _sanity(subject: Subject) -> ProbeOutcome:
    if reason := _not_english(subject):
        return skipped(reason)
    ranks = _answer_ranks(*_vectors(subject), _similarity(subject))
    return _judge_ranks(ranks, cause="wrong pooling, weights that were initialized anew, or another tokenizer")


def _matryoshka(subject: Subject) -> ProbeOutcome:
    import numpy as np

    sizes = subject.spec.matryoshka or (subject.declared.matryoshka if subject.declared else ())
    if not sizes:
        return skipped("no shorter vectors are declared (matryoshka)")
    if reason := _not_english(subject):
        return skipped(reason)
    queries, documents = _vectors(subject)
    if too_many := [size for size in sizes if size > queries.shape[1]]:
        return judged(
            [f"{too_many[0]} dimensions are declared, vectors have {queries.shape[1]}"],
            fix="give the sizes that this model was trained for, matryoshka = [...] in its definition; where there are "
            'none, skip_probes = ["matryoshka"]',
            measured=str(queries.shape[1]),
            limit=f">= {too_many[0]}",
        )
    # Cut vectors of length 1 are brought to that length again, as in a search with a Matryoshka variant.
    form = unit_vectors if subject.facts.normalized else np.asarray
    ranks = {
        size: _answer_ranks(form(queries[:, :size]), form(documents[:, :size]), _similarity(subject)) for size in sizes
    }
    worst = min(sizes, key=lambda size: int((ranks[size] == 1).sum()))
    return _judge_ranks(
        ranks[worst],
        cause="the model was not trained for shorter vectors, or its dimensions come in another order",
        prefix=f"with the first {worst} dimensions ",
    )


def _not_english(subject: Subject) -> str:
    """Return the reason why the model cannot be asked English questions; "" if it can."""
    known = subject.declared.languages if subject.declared else ()
    languages = subject.spec.languages or known
    # The codes are those of MTEB, such as eng-Latn.
    english = not languages or any(language.startswith("eng") for language in languages)
    return "" if english else "the questions are English, and the model is not declared for it"


def _vectors(subject: Subject) -> tuple[Vectors, Vectors]:
    return subject.alone(list(ANSWERS), "query"), subject.alone(list(ANSWERS.values()), "document")


def _similarity(subject: Subject) -> Similarity:
    return subject.facts.similarity or DEFAULT_SIMILARITY


def _answer_ranks(
    queries: NDArray[np.floating], documents: NDArray[np.floating], similarity: Similarity
) -> NDArray[np.int64]:
    """Return the rank of each question's answer, from 1; equal scores and NaN count against it."""
    import numpy as np

    # A broken vector answers nothing: zeros in its place, and then no score at all.
    broken = [~np.isfinite(vectors).all(axis=1) for vectors in (queries, documents)]
    table = scores(similarity, *(np.nan_to_num(v, nan=0, posinf=0, neginf=0) for v in (queries, documents)))
    table[broken[0]], table[:, broken[1]] = -np.inf, -np.inf
    own = np.diag(table)[:, None]
    others = ~np.eye(len(table), dtype=bool)
    return np.asarray(1 + ((table >= own) & others).sum(axis=1), dtype=np.int64)


def _judge_ranks(ranks: NDArray[np.int64], *, cause: str, prefix: str = "") -> ProbeOutcome:
    right, total = int((ranks == 1).sum()), len(ranks)
    missed = [question for question, rank in zip(ANSWERS, ranks, strict=True) if rank > 1]
    problems = [f"{prefix}{len(missed)} of {total} easy questions are not answered; first: {missed[0]!r}"] if (
        len(missed) > MAX_WRONG_ANSWERS
    ) else []  # fmt: skip
    return judged(
        problems,
        cause=cause,
        fix="compare with the original checkpoint's vectors: reference = MODEL in its definition",
        measured=f"{right} of {total} answered",
        limit=f">= {total - MAX_WRONG_ANSWERS}",
        value=right,
        values={question: float(rank) for question, rank in zip(ANSWERS, ranks, strict=True)},
    )


def _declares_sizes(spec: ModelSpec, known: ModelSpec | None) -> bool:
    return bool(spec.matryoshka or (known and known.matryoshka))


PROBES = (
    Probe("sanity", "Does the right answer beat unrelated ones?", _sanity),
    Probe("matryoshka", "Do the declared shorter vectors still answer?", _matryoshka, _declares_sizes),
)
