"""An endpoint, a conversion or a quantization against the model that it is made from."""

from __future__ import annotations

from pytest_embedbench.conformance.outcome import Outcome, Probe, judged, skipped
from pytest_embedbench.conformance.samples import TEXTS
from pytest_embedbench.conformance.subject import Subject, distances
from pytest_embedbench.datasets.types import ROLES


def _parity(subject: Subject) -> Outcome:
    if subject.reference is None:
        return skipped("no model to compare with (reference in its definition)")
    other = Subject(subject.named, subject.reference)
    found: dict[str, float] = {}
    for role in ROLES:
        ours, theirs = subject.alone(TEXTS, role), other.alone(TEXTS, role)
        if ours.shape != theirs.shape:
            return judged(
                [f"its vectors have {ours.shape[1]} dimensions, those of the reference {theirs.shape[1]}"],
                "fix: name the model that it should equal",
                measured=str(ours.shape[1]),
                limit=f"= {theirs.shape[1]}",
            )
        found |= {f"{role}: {text}": float(value) for text, value in zip(TEXTS, distances(ours, theirs), strict=True)}
    text, worst = max(found.items(), key=lambda pair: pair[1])
    limit = max(subject.tolerance, other.tolerance)
    return judged(
        [] if worst <= limit else [f"vectors are {worst:.2g} apart (1 - cosine); worst: {text!r}"],
        "usual cause: another prompt, pooling, padding side, end-of-text token, length cap or checkpoint than the "
        "reference's\nfix: where only queries differ, the prompt; where all do, pooling and padding; where long texts "
        "do, the length",
        measured=f"{max(worst, 0):.1e} apart",
        limit=f"<= {limit:g}",
        value=worst,
        values=found,
    )


PROBES = (Probe("parity", "Has it the vectors of its reference?", _parity),)
