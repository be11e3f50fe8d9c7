"""All probes, in the order in which models are probed."""

from __future__ import annotations

from pytest_embedbench.conformance import (
    concurrency,
    context,
    direction,
    equal_lengths,
    parity,
    pooling_and_prompts,
    repeat,
    sense,
    state,
    unusual_texts,
    vectors,
)
from pytest_embedbench.conformance.outcome import Probe

PROBES: dict[str, Probe] = {
    probe.name: probe
    for module in (
        vectors,
        repeat,
        equal_lengths,
        state,
        concurrency,
        direction,
        pooling_and_prompts,
        sense,
        context,
        unusual_texts,
        parity,
    )
    for probe in module.PROBES
}
"""Probes by name."""
