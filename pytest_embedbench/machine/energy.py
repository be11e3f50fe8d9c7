"""Energy that a machine uses while a profile runs, through codecarbon (the extra ``energy``).

codecarbon is kept offline: it looks up no location, and writes and sends nothing, whatever its configuration files and
the environment's variables say. It counts the whole machine. The processor's part is measured only where RAPL can be
read; elsewhere it is estimated from the processor's load and type. Memory's part is always estimated, from its size.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import msgspec

from pytest_embedbench.core.bounded import Amount
from pytest_embedbench.errors import install_command

POWER_POLL_SECONDS = 5
"""Seconds between two readings of the power; long enough for the readings not to be a load themselves."""


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """Energy (kWh) of the machine and of its parts, over ``seconds``.

    ``cpu_measured`` says whether the processor's part was measured by RAPL; otherwise it is an estimate.
    """

    kwh: Amount
    cpu_kwh: Amount
    gpu_kwh: Amount
    memory_kwh: Amount
    seconds: Amount
    cpu_measured: bool


def missing_extra() -> str:
    """Return the command that installs codecarbon; an empty string if it is installed."""
    return "" if find_spec("codecarbon") else install_command("energy")


@contextmanager
def metered_energy() -> Iterator[Callable[[], Energy | None]]:
    """Measure energy until the block ends; the yielded function then returns it, or None where codecarbon failed."""
    from codecarbon import OfflineEmissionsTracker
    from codecarbon.core.cpu import is_rapl_available

    logger = logging.getLogger("codecarbon")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old names in the user's configuration of codecarbon
            # With a carbon intensity given, codecarbon asks no service for one, even if the environment has a token.
            # The country, which codecarbon requires, then decides nothing.
            tracker = OfflineEmissionsTracker(
                country_iso_code="FRA",
                force_carbon_intensity_g_co2e_kwh=0,
                output_methods=[],
                allow_multiple_runs=True,  # another process of the session may be measuring too
                tracking_mode="machine",
                measure_power_secs=POWER_POLL_SECONDS,
                log_level="critical",
            )
            tracker.start()
            measured = is_rapl_available()
        try:
            yield lambda: _energy(getattr(tracker, "final_emissions_data", None), measured=measured)
        finally:
            tracker.stop()
    finally:
        logger.setLevel(level)


def _energy(data: Any, *, measured: bool) -> Energy | None:
    """Return what codecarbon counted; None where it failed, which it only writes to its log."""
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
