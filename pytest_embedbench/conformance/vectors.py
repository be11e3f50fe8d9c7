"""Vectors as such: their number of dimensions, all numbers finite, length 1 if that is declared."""

from __future__ import annotations

from pytest_embedbench.conformance.outcome import Probe, ProbeOutcome, judged, skipped
from pytest_embedbench.conformance.samples import PROBE_TEXTS
from pytest_embedbench.conformance.subject import Subject
from pytest_embedbench.core.similarity import DEFAULT_SIMILARITY
from pytest_embedbench.datasets.types import ROLES


def _dimension(subject: Subject) -> ProbeOutcome:
    declared = subject.spec.dimensions or (subject.declared and subject.declared.dimensions) or subject.facts.dimensions
    sizes = {role: subject.alone(PROBE_TEXTS[:1], role).shape[1] for role in ROLES}
    limit = f"= {declared}" if declared else ""
    problems = [
        f"a {role} has {size} dimensions, {declared} are declared"
        for role, size in sizes.items()
        if declared and size != declared
    ]
    if sizes["query"] != sizes["document"]:
        problems.append(f"a query has {sizes['query']} dimensions and a document {sizes['document']}")
    return judged(
        problems,
        cause="another checkpoint than the one named, or a server that cuts vectors",
        fix="correct the model's path, or dimensions in its definition",
        measured=" and ".join(map(str, dict.fromkeys(sizes.values()))),
        limit=limit,
        value=sizes["document"],
    )


def _finite(subject: Subject) -> ProbeOutcome:
    import numpy as np

    # In one batch: a broken mask shows only in padded texts.
    values = {role: int((~np.isfinite(subject.together(PROBE_TEXTS, role))).any(axis=1).sum()) for role in ROLES}
    bad = sum(values.values())
    return judged(
        [
            f"{count} of {len(PROBE_TEXTS)} {role} vectors hold NaN or infinity"
            for role, count in values.items()
            if count
        ],
        cause="fp16 overflows in a model that was trained in bf16, or a mask that leaves no token",
        fix="load it in bf16 or fp32 (--embed-dtype)",
        measured=f"{bad} broken",
        limit="= 0",
        value=bad,
        values={role: float(count) for role, count in values.items()},
    )


def _unit_norm(subject: Subject) -> ProbeOutcome:
    import numpy as np

    # The user's definition decides; otherwise the checkpoint or the catalogue may declare it.
    known = subject.declared.normalized if subject.declared else None
    declared = subject.spec.normalized
    if not ((subject.facts.normalized or known) if declared is None else declared):
        return skipped("nothing says that its vectors have length 1")
    lengths = np.linalg.norm(np.concatenate([subject.together(PROBE_TEXTS, role) for role in ROLES]), axis=1)
    off = np.abs(lengths - 1)
    worst, limit = float(off.max()), subject.unit_tolerance
    return judged(
        [] if worst <= limit else [f"a vector has length {lengths[off.argmax()]:.4f}"],
        cause="the Normalize module is missing from modules.json, or the server runs without normalization",
        fix=f"add it; or say normalized = false in the model's definition{_consequence(subject)}",
        measured=f"{worst:.2g} off",
        limit=f"<= {limit:g} in {subject.format}",
        value=worst,
        values={"shortest": float(lengths.min()), "longest": float(lengths.max())},
    )


def _consequence(subject: Subject) -> str:
    """Return what other lengths do to a ranking, for messages."""
    similarity = subject.facts.similarity or DEFAULT_SIMILARITY
    return ", since cosine is the same for all lengths" if similarity == "cosine" else " and expect other rankings"


PROBES = (
    Probe("dimension", "Do vectors of both roles have the declared number of dimensions?", _dimension),
    Probe("finite", "Are all numbers finite?", _finite),
    Probe("unit-norm", "Do vectors have length 1 if that is declared?", _unit_norm),
)
