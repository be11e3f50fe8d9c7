"""Energy that a machine takes while a profile runs, through codecarbon (the extra ``energy``).

codecarbon is held offline: no place is looked up, nothing is written or sent, whatever its configuration files and
variables in the environment say. What it counts is the whole machine. Only where RAPL can be read, the processor's
part is measured; elsewhere it is reckoned from its load and its type, and memory's part always is from its size.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import msgspec

POWER_POLL_SECONDS = 5
"""Between two looks at the power: seldom enough not to be a load itself."""


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """Energy in kWh: of the machine, and its parts. ``cpu_measured``: by RAPL, else an estimate."""

    kwh: float
    cpu_kwh: float
    gpu_kwh: float
    memory_kwh: float
    seconds: float
    cpu_measured: bool


def missing_extra() -> str:
    """How to get codecarbon where it is missing; empty where it is there."""
    return "" if find_spec("codecarbon") else "pip install 'pytest-embedbench[energy]'"


@contextmanager
def metered_energy() -> Iterator[Callable[[], Energy | None]]:
    """Meter until the end; what is yielded then says what was found, None where codecarbon failed."""
    from codecarbon import OfflineEmissionsTracker
    from codecarbon.core.cpu import is_rapl_available

    logger = logging.getLogger("codecarbon")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old names in its configuration are not ours to complain about
            # A carbon intensity that is given is not asked for, even if the environment has a token for a service; then
            # the country, which codecarbon insists on, decides nothing.
            tracker = OfflineEmissionsTracker(
                country_iso_code="FRA",
                force_carbon_intensity_g_co2e_kwh=0,
                output_methods=[],
                allow_multiple_runs=True,
                tracking_mode="machine",
                measure_power_secs=POWER_POLL_SECONDS,
                log_level="critical",
            )
            tracker.start()
            measured = is_rapl_available()
        try:
            yield lambda: _found(getattr(tracker, "final_emissions_data", None), measured=measured)
        finally:
            tracker.stop()
    finally:
        logger.setLevel(level)


def _found(data: Any, *, measured: bool) -> Energy | None:
    """What codecarbon counted; None where it failed, which it tells its log only."""
    if data is None:
        return None
    return Energy(
        kwh=data.energy_consumed,
        cpu_kwh=data.cpu_energy,
        gpu_kwh=data.gpu_energy,
        memory_kwh=data.ram_energy,
        seconds=data.duration,
        cpu_measured=measured,
    )
