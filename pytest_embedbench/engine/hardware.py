"""Hardware of a measurement: this machine's, or what the user says of an endpoint's server, which nobody can see."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from pytest_embedbench.machine import environment
from pytest_embedbench.machine.environment import UNSTATED_HARDWARE, hardware_name

if TYPE_CHECKING:
    from pytest_embedbench.machine.environment import Environment
    from pytest_embedbench.models.spec import ModelSpec


def is_served(spec: ModelSpec) -> bool:
    """Whether the model runs on another machine, whose hardware, memory and load time cannot be measured from here."""
    return spec.kind == "endpoint"


def hardware_of(spec: ModelSpec, device: str) -> str:
    """Return the name of the hardware that a model runs on.

    Args:
        spec: its definition, which says so for an endpoint.
        device: device of models that run on this machine.
    """
    return (spec.hardware or UNSTATED_HARDWARE) if is_served(spec) else hardware_name(device)


def peak_memory_bytes(spec: ModelSpec, device: str) -> dict[str, int]:
    """Return the peak memory that the model took; empty for an endpoint."""
    return {} if is_served(spec) else environment.peak_memory_bytes(device)


def describe_environment(
    spec: ModelSpec, device: str, software: Mapping[str, str] = MappingProxyType({})
) -> Environment:
    """Return the environment of an evaluation: of an endpoint's, the server's hardware and the client's software.

    ``software`` is what the model's vectors depend on.
    """
    here = environment.describe_environment("cpu" if is_served(spec) else device, software)
    return of_server(here, spec) if is_served(spec) else here


def of_server(here: Environment, spec: ModelSpec) -> Environment:
    """Return an environment with the server's hardware in place of this machine's."""
    hardware = spec.hardware or UNSTATED_HARDWARE
    return msgspec.structs.replace(here, hardware=hardware, cpu="", cores=None, memory_bytes=None, driver="")
