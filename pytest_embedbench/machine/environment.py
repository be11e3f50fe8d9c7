"""Facts of the machine: hardware, memory, versions. They are read from the machine, never from what a user typed."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType

import msgspec

from pytest_embedbench.core.bounded import Count

RECORDED_LIBRARIES = (
    "pytest-embedbench", "torch", "transformers", "tokenizers", "sentence-transformers", "numpy", "scipy",
    "pytrec_eval-terrier", "bm25s", "PyStemmer", "peft", "onnxruntime", "onnxruntime-gpu", "openvino",
)  # fmt: skip
"""Libraries whose versions every result records; those that decide a model's numbers are recorded too."""

NUMERIC_VARIABLES = (
    # torch and the libraries below it: reduced precision in place of fp32, and other code paths.
    "ATEN_CPU_CAPABILITY", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG",
    "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA",
    "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "PYTORCH_MPS_FAST_MATH", "PYTORCH_MPS_PREFER_METAL",
)  # fmt: skip
"""Environment variables that change the numbers that a network computes."""

UNSTATED_HARDWARE = "unknown hardware"
"""Name of the hardware of a server whose owner has not said what it is."""

GENERIC_WORD = re.compile(r"NVIDIA|AMD|CPU|Processor|\d+-Core", re.IGNORECASE)
"""Pattern of words in a hardware name that tell a card's reader nothing."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Machine and software of an evaluation.

    Of a model behind an endpoint, ``hardware`` is what the user says of its server, and ``cpu``, ``cores``,
    ``memory_bytes`` and ``driver`` are empty.
    """

    hardware: str
    cpu: str
    cores: Count | None
    memory_bytes: Count | None
    driver: str
    python: str
    system: str
    libraries: dict[str, str]


def cpu_name() -> str:
    """Return the processor's own name, or Python's name for it where the system gives none."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """Return the number of processors that this process may use."""
    # Containers and taskset limit the processors of a process; os.cpu_count() counts all of the machine's.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def hardware_name(device: str) -> str:
    """Return the name of a model's device: the GPU's (``NVIDIA L4``), or the processor's with its number of cores."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(torch.device(device)))
    return f"{cpu_name()} ({cores()} cores)"


def matches_hardware(wanted: str, actual: str) -> bool:
    """Whether the machine's name for its hardware contains all words of ``wanted``, e.g. ``L4`` in ``NVIDIA L4``.

    Only whole words match, so that L4 does not match L40S. Hyphens separate words, so that A100 matches A100-SXM4-80GB.
    """
    return _words(wanted) <= _words(actual)


def _words(name: str) -> set[str]:
    return set(re.findall(r"\w+", name.casefold()))


def short_hardware_name(actual: str) -> str:
    """Return the name as cards write it: ``L4`` for ``NVIDIA L4``, ``Intel Xeon`` for ``Intel(R) Xeon(R) Processor``.

    Trademark signs, the number of cores, the clock rate and words that fit any processor are left out, and so are
    vendors whose product names say enough.
    """
    product = re.sub(r"\((?:R|TM|C)\)", " ", actual, flags=re.IGNORECASE)
    # The number of cores, the clock rate ("@ 2.20GHz") and built-in graphics ("with Radeon Graphics").
    product = re.split(r" [(@]| with ", product, maxsplit=1)[0]
    words = [word for word in product.split() if not GENERIC_WORD.fullmatch(word)]
    return " ".join(words) or actual


def peak_memory_bytes(device: str) -> dict[str, int]:
    """Return the peak memory of this process so far (``process``) and, on a GPU, of its allocations (``device``)."""
    peak: dict[str, int] = {}
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, kilobytes on Linux
        peak["process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if device.startswith("cuda"):
        import torch

        peak["device"] = int(torch.cuda.max_memory_allocated(torch.device(device)))
    return peak


def installed(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of these distributions, without those that are not installed."""
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def library_versions() -> dict[str, str]:
    """Return the versions of ``RECORDED_LIBRARIES``, without those that are not installed."""
    return installed(RECORDED_LIBRARIES)


def numeric_variables() -> dict[str, str]:
    """Return the values of those of ``NUMERIC_VARIABLES`` that are set."""
    return {name: value for name in NUMERIC_VARIABLES if (value := os.environ.get(name))}


def describe_environment(device: str, software: Mapping[str, str] = MappingProxyType({})) -> Environment:
    """Return the environment as it is now, for a model on ``device``; ``software`` is what its vectors depend on."""
    driver = ""
    if device.startswith("cuda"):
        import torch

        driver = f"CUDA {torch.version.cuda}"
    return Environment(
        hardware=hardware_name(device),
        cpu=cpu_name(),
        cores=cores(),
        memory_bytes=_memory(),
        driver=driver,
        python=platform.python_version(),
        system=platform.platform(),
        libraries={**library_versions(), **software},
    )


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
