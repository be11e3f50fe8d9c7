"""Texts as real corpora hold them: empty, blank, very long, other scripts, emoji, control characters."""

from __future__ import annotations

from pytest_embedbench.conformance.outcome import Probe, ProbeOutcome, judged
from pytest_embedbench.conformance.samples import ODD_TEXTS
from pytest_embedbench.conformance.subject import Subject
from pytest_embedbench.errors import EmbedbenchError


def _odd_texts(subject: Subject) -> ProbeOutcome:
    import numpy as np

    # A server is never sent a blank text.
    texts = {name: text for name, text in ODD_TEXTS.items() if text.strip() or not subject.served}
    problems = []
    for name, text in texts.items():
        try:
            # One by one, so that a text that fails is known by name.
            vector = subject.together([text], "document")[0]
        except EmbedbenchError as error:
            problems.append(f"{name}: {str(error).splitlines()[0]}")
        except Exception as error:  # noqa: BLE001 - whatever a model raises on such a text
            problems.append(f"{name}: {type(error).__name__}: {error}")
        else:
            if not np.isfinite(vector).all():
                problems.append(f"{name}: its vector holds NaN or infinity")
    return judged(
        problems,
        cause="no token is left of the text, so that pooling divides by zero; or the server refuses such input",
        fix="for an endpoint let the server cut long texts (auto-truncate), or set max_seq_length and tokenizer; "
        "in a function give something for empty texts",
        measured=f"{len(problems)} of {len(texts)} fail",
        limit="= 0",
        value=len(problems),
    )


PROBES = (Probe("odd-texts", "Do empty, very long and unusual texts get a vector?", _odd_texts),)
