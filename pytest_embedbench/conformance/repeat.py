"""The same text encoded again: a second time, beside other texts, at another position of a batch."""

from __future__ import annotations

from pytest_embedbench.conformance.outcome import Probe, ProbeOutcome, judged, unchecked
from pytest_embedbench.conformance.samples import LONG_TEXT, PROBE_TEXTS
from pytest_embedbench.conformance.subject import Subject, distances
from pytest_embedbench.core.unit_vectors import unit_vectors

REPEATED_TEXTS = PROBE_TEXTS[::2]
SHORT_TEXT = "tea"


def _determinism(subject: Subject) -> ProbeOutcome:
    return _judge(
        subject,
        _from_call_to_call(subject),
        "the same batch twice",
        cause="dropout is on (the model is not in eval mode), or several different replicas answer",
        fix="call eval(), or see to it that all replicas serve the same weights",
    )


def _batch_invariance(subject: Subject) -> ProbeOutcome:
    import numpy as np

    alone = subject.alone(REPEATED_TEXTS, "document")
    longer = subject.together([*REPEATED_TEXTS, LONG_TEXT], "document")[:-1]
    # Beside a short text, each text is the longest of its batch, so that padding falls on its neighbour.
    # Each needs a batch of its own, so a few must do.
    few = REPEATED_TEXTS[:3]
    shorter = np.stack([subject.together([SHORT_TEXT, text], "document")[1] for text in few])
    apart = {
        **dict(zip((f"beside longer: {text}" for text in REPEATED_TEXTS), distances(alone, longer), strict=True)),
        **dict(zip((f"beside shorter: {text}" for text in few), distances(alone[: len(few)], shorter), strict=True)),
    }
    # The other way round, a short text gets the most padding that a batch can give it.
    short_alone = subject.alone([SHORT_TEXT], "document")
    short_beside = subject.together([SHORT_TEXT, LONG_TEXT], "document")[:1]
    apart[f"beside longer: {SHORT_TEXT}"] = distances(short_alone, short_beside)[0]
    return judge_distances(
        subject,
        {text: float(distance) for text, distance in apart.items()},
        "alone, and beside other texts",
        cause="padding is not masked; or it is on the wrong side (last-token pooling at a fixed place needs "
        "padding on the left)",
        fix='padding_side = "left" in tokenizer_config.json for last-token pooling; pass the '
        "attention mask; use a server version that serves this architecture",
    )


def _order(subject: Subject) -> ProbeOutcome:
    import numpy as np

    alone = unit_vectors(subject.alone(PROBE_TEXTS, "document").astype(np.float64))
    batch = subject.together(PROBE_TEXTS, "document").astype(np.float64)
    own = (batch * alone).sum(axis=1)
    scores = batch @ alone.T
    # Texts with equal vectors are not misplaced: another text's vector must score higher, not as high.
    moved = np.flatnonzero(scores.max(axis=1) > own + np.abs(own) * subject.tolerance)
    return judged(
        [f"{PROBE_TEXTS[row]!r} got the vector of {PROBE_TEXTS[int(scores[row].argmax())]!r}" for row in moved[:3]],
        cause="the batch is sorted by length and not put back, or a server's index is ignored",
        fix="put vectors back in the order of the texts",
        measured=f"{len(moved)} of {len(PROBE_TEXTS)} misplaced",
        limit="= 0",
        value=len(moved),
        values={text: float(own[row] / np.linalg.norm(batch[row])) for row, text in enumerate(PROBE_TEXTS)},
    )


def judge_distances(subject: Subject, apart: dict[str, float], what: str, *, cause: str, fix: str) -> ProbeOutcome:
    """Judge distances that should be zero up to rounding.

    Where they are not, but a batch gets other vectors each time, nothing can be said; ``determinism`` reports that.
    """
    outcome = _judge(subject, apart, what, cause=cause, fix=fix)
    if outcome.status == "failed" and (noise := max(_from_call_to_call(subject).values())) > subject.tolerance:
        return unchecked(f"the same batch gets vectors {noise:.2g} apart each time, see conformance[determinism]")
    return outcome


def _from_call_to_call(subject: Subject) -> dict[str, float]:
    """Return the distance between two vectors of each text, from the same batch sent twice."""
    first, second = (subject.together(REPEATED_TEXTS, "document") for _ in range(2))
    return dict(zip(REPEATED_TEXTS, distances(first, second).tolist(), strict=True))


def _judge(subject: Subject, apart: dict[str, float], what: str, *, cause: str, fix: str) -> ProbeOutcome:
    text, worst = max(apart.items(), key=lambda pair: pair[1])
    limit = subject.tolerance
    return judged(
        [] if worst <= limit else [f"{what}: vectors are {worst:.2g} apart (1 - cosine); worst: {text!r}"],
        cause=cause,
        fix=fix,
        measured=f"{max(worst, 0):.2g} apart",
        limit=f"<= {limit:g} in {subject.format}",
        value=worst,
        values=apart,
    )


PROBES = (
    Probe("determinism", "Does the same batch give the same vectors again?", _determinism),
    Probe("batch-invariance", "Does a text get the same vector alone and beside others?", _batch_invariance),
    Probe("order", "Does each text of a batch get its own vector?", _order),
)
