"""The same text again: once more, in other company, at another place of a batch."""

from __future__ import annotations

import numpy as np

from pytest_embedbench.conformance.outcome import Outcome, Probe, judged
from pytest_embedbench.conformance.samples import LONG, TEXTS
from pytest_embedbench.conformance.subject import Subject, distances

SOME = TEXTS[::2]
SHORT = "tea"


def _determinism(subject: Subject) -> Outcome:
    first, second = (subject.together(SOME, "document") for _ in range(2))
    return _apart(
        subject,
        dict(zip(SOME, distances(first, second).tolist(), strict=True)),
        "the same batch twice",
        "usual cause: dropout is on (the model is not in eval mode), or several different replicas answer\n"
        "fix: call eval(), or see to it that all replicas serve the same weights",
    )


def _batch_invariance(subject: Subject) -> Outcome:
    alone = subject.alone(SOME, "document")
    found: dict[str, float] = {}
    for company, other in (("longer", LONG), ("shorter", SHORT)):
        # Beside a short one, each text is the longest of its batch, so that padding falls on its neighbour.
        if company == "longer":
            beside = subject.together([*SOME, other], "document")[:-1]
        else:
            beside = np.stack([subject.together([other, text], "document")[1] for text in SOME[:3]])
        for text, distance in zip(SOME, distances(alone[: len(beside)], beside), strict=False):
            found[f"beside {company}: {text}"] = float(distance)
    short = distances(subject.alone([SHORT], "document"), subject.together([SHORT, LONG], "document")[:1])
    found[f"beside longer: {SHORT}"] = float(short[0])
    return _apart(
        subject,
        found,
        "alone, and beside other texts",
        "usual cause: padding is not masked; or it is on the wrong side (last-token pooling at a fixed place needs "
        'padding on the left)\nfix: padding_side = "left" in tokenizer_config.json for last-token pooling; pass the '
        "attention mask; use a server version that serves this architecture",
    )


def _order(subject: Subject) -> Outcome:
    alone = subject.alone(TEXTS, "document").astype(np.float64)
    batch = subject.together(TEXTS, "document").astype(np.float64)
    unit = alone / np.maximum(np.linalg.norm(alone, axis=1, keepdims=True), 1e-12)
    own = (batch * unit).sum(axis=1)
    best = batch @ unit.T
    # Equal vectors are no swap: another text's may be as near, not nearer.
    moved = np.flatnonzero(best.max(axis=1) > own + np.abs(own) * subject.tolerance)
    return judged(
        [f"{TEXTS[index]!r} got the vector of {TEXTS[int(best[index].argmax())]!r}" for index in moved[:3]],
        "usual cause: the batch is sorted by length and not put back, or a server's index is ignored\n"
        "fix: put vectors back in the order of the texts",
        measured=f"{len(moved)} of {len(TEXTS)} misplaced",
        limit="= 0",
        value=len(moved),
        values={text: float(own[index] / np.linalg.norm(batch[index])) for index, text in enumerate(TEXTS)},
    )


def _apart(subject: Subject, found: dict[str, float], what: str, advice: str) -> Outcome:
    """Judge distances that should be none."""
    text, worst = max(found.items(), key=lambda pair: pair[1])
    limit = subject.tolerance
    return judged(
        [] if worst <= limit else [f"{what}: vectors are {worst:.2g} apart (1 - cosine); worst: {text!r}"],
        advice,
        measured=f"{max(worst, 0):.1e} apart",
        limit=f"<= {limit:g} in {subject.format}",
        value=worst,
        values=found,
    )


PROBES = (
    Probe("determinism", "Does the same batch give the same vectors again?", _determinism),
    Probe("batch-invariance", "Has a text the same vector alone and beside others?", _batch_invariance),
    Probe("order", "Does each text of a batch get its own vector?", _order),
)
