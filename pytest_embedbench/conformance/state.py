"""Traces of earlier requests: a short text right after a long one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_embedbench.conformance.outcome import Probe, ProbeOutcome
from pytest_embedbench.conformance.repeat import SHORT_TEXT, judge_distances
from pytest_embedbench.conformance.samples import LONG_TEXT, PROBE_TEXTS
from pytest_embedbench.conformance.subject import Subject, distances

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Vectors

SHORT_TEXTS = PROBE_TEXTS[:4]
OTHER_SHORT_TEXTS = PROBE_TEXTS[4:8]


def _state(subject: Subject) -> ProbeOutcome:
    def after(before: list[str], texts: list[str]) -> Vectors:
        """Encode texts right after others."""
        subject.together(before, "document")
        return subject.together(texts, "document")

    apart: dict[str, float] = {}
    for text in SHORT_TEXTS[:2]:
        expected, found = after([SHORT_TEXT], [text]), after([LONG_TEXT], [text])
        apart[f"after a longer text: {text}"] = float(distances(expected, found)[0])
    short, others = list(SHORT_TEXTS), list(OTHER_SHORT_TEXTS)
    expected, found = after(others, short), after([LONG_TEXT] * len(short), short)
    apart |= zip((f"after a longer batch: {text}" for text in short), distances(expected, found).tolist(), strict=True)
    return judge_distances(
        subject,
        apart,
        "after a short text, and after a long one",
        cause="a buffer keeps what stands behind the end of a shorter text, or cached keys and values are not dropped",
        fix="a version of the server or library without this fault; CUDA graphs or prefix caching off",
    )


PROBES = (Probe("state", "Does a short text get the same vector after a long one?", _state),)
