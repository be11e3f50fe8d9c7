"""All probes, in the order in which they are asked."""

from __future__ import annotations

from pytest_embedbench.conformance import context, declaration, odd, parity, repeat, sense
from pytest_embedbench.conformance import vectors as shape

PROBES = {
    probe.name: probe
    for probe in (
        *shape.PROBES,
        *repeat.PROBES,
        *declaration.PROBES,
        *sense.PROBES,
        *context.PROBES,
        *odd.PROBES,
        *parity.PROBES,
    )
}
