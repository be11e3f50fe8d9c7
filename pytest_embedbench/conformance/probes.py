"""All probes, in the order in which models are probed."""

from __future__ import annotations

from pytest_embedbench.conformance import context, declaration, odd, parity, repeat, sense, vectors
from pytest_embedbench.conformance.outcome import Probe

PROBES: dict[str, Probe] = {
    probe.name: probe
    for module in (vectors, repeat, declaration, sense, context, odd, parity)
    for probe in module.PROBES
}
"""Probes by name."""
