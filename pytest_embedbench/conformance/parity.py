"""An endpoint, a conversion or a quantization against the model that it is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_embedbench.conformance.outcome import Probe, ProbeOutcome, judged, skipped
from pytest_embedbench.conformance.samples import PROBE_TEXTS
from pytest_embedbench.conformance.subject import Subject, distances
from pytest_embedbench.core.similarity import DEFAULT_SIMILARITY
from pytest_embedbench.datasets.types import ROLES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_embedbench.models.protocol import Vectors
    from pytest_embedbench.models.spec import ModelSpec


def _parity(subject: Subject) -> ProbeOutcome:
    if subject.reference is None:
        return skipped("no model to compare with (reference in its definition)")
    # The definition is the same; only vectors and tolerance are the reference's.
    reference = Subject(subject.named, subject.reference)
    apart: dict[str, float] = {}
    longer: dict[str, float] = {}
    for role in ROLES:
        ours, theirs = subject.alone(PROBE_TEXTS, role), reference.alone(PROBE_TEXTS, role)
        if ours.shape != theirs.shape:
            return judged(
                [f"its vectors have {ours.shape[1]} dimensions, those of the reference {theirs.shape[1]}"],
                fix="name the model that it should equal",
                measured=str(ours.shape[1]),
                limit=f"= {theirs.shape[1]}",
            )
        rows = zip(PROBE_TEXTS, distances(ours, theirs), _length_differences(ours, theirs), strict=True)
        for text, distance, difference in rows:
            apart[f"{role}: {text}"], longer[f"{role}: {text}"] = float(distance), float(difference)
    text, worst = max(apart.items(), key=lambda pair: pair[1])
    # The coarser number format of the two decides.
    limit = max(subject.tolerance, reference.tolerance)
    problems = [] if worst <= limit else [f"vectors are {worst:.2g} apart (1 - cosine); worst: {text!r}"]
    # Cosine is the same for all lengths; under every other similarity they decide too.
    other, most = max(longer.items(), key=lambda pair: pair[1])
    by_length = (subject.facts.similarity or DEFAULT_SIMILARITY) != "cosine"
    if by_length and most > max(subject.unit_tolerance, reference.unit_tolerance):
        problems.append(
            f"lengths of vectors differ by {most:.2%}, and {subject.facts.similarity} depends on them; {other!r}"
        )
    return judged(
        problems,
        cause="another prompt, pooling, padding side, end-of-text token, length cap or checkpoint than the reference's",
        fix="where only queries differ, the prompt; where all do, pooling and padding; where long texts do, the length",
        # By rounding, 1 - cosine may be slightly below zero.
        measured=f"{max(worst, 0):.2g} apart",
        limit=f"<= {limit:g}",
        value=worst,
        values=apart,
    )


def _length_differences(first: Vectors, second: Vectors) -> NDArray[np.float64]:
    """Return the difference in length of the vectors in the same row, as a share of the longer one; shape (rows,)."""
    import numpy as np

    a, b = (np.linalg.norm(vectors.astype(np.float64), axis=1) for vectors in (first, second))
    longer = np.maximum(a, b)
    return np.asarray(np.abs(a - b) / np.where(longer > 0, longer, 1), dtype=np.float64)


def _has_reference(spec: ModelSpec, known: ModelSpec | None) -> bool:  # noqa: ARG001 - the signature of ``applies``
    return bool(spec.reference)


PROBES = (Probe("parity", "Does it give the reference's vectors?", _parity, _has_reference, needs_reference=True),)
