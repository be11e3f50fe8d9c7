"""Features of this CPU that decide which of several computations is fastest, as torch reports them."""

from __future__ import annotations

import platform

import torch

from pytest_embedbench.machine import torch_compat


def has_onednn_on_avx512() -> bool:
    """Whether the CPU has AVX-512, and torch has oneDNN's own linear layer to use it."""
    return _capability().startswith("AVX512") and torch_compat.has_fused_linear()


def multiplies_bf16() -> bool:
    """Whether oneDNN multiplies bf16 matrices with the CPU's own instructions, rather than as fp32."""
    return has_onednn_on_avx512() and torch_compat.onednn_multiplies_bf16()


def multiplies_fp16() -> bool:
    """Whether oneDNN multiplies fp16 matrices with the CPU's own instructions, rather than as fp32."""
    return has_onednn_on_avx512() and torch_compat.onednn_multiplies_fp16()


def fast_dtypes(device: str) -> tuple[str, ...]:
    """Return the 16-bit number formats that the device has instructions for."""
    if device.startswith("cuda"):
        # Without its own instructions a GPU's bf16 is slower than fp32.
        return ("bf16", "fp16") if torch.cuda.is_bf16_supported(including_emulation=False) else ("fp16",)
    if device.startswith("mps"):
        return ("fp16",)

    return tuple(name for name, has in (("bf16", multiplies_bf16), ("fp16", multiplies_fp16)) if has())


def describe_cpu_paths() -> str:
    """Return the vector instructions that models run with on this CPU, e.g. ``AVX2 (no AVX-512, no AMX)``.

    ``ATEN_CPU_CAPABILITY`` in the environment limits what torch reports, and so what is chosen here.
    """
    capability = _capability()
    if capability.startswith("AVX512"):
        bf16 = " with bf16" if multiplies_bf16() else ""
        return f"AVX-512{bf16}, AMX" if torch_compat.has_amx() else f"AVX-512{bf16} (no AMX)"
    if capability == "AVX2":
        return "AVX2 (no AVX-512, no AMX)"
    return f"{platform.machine()}, {capability.lower()} instructions (no AVX2, no AVX-512, no AMX)"


def _capability() -> str:
    """Return torch's name of the vector instructions, e.g. ``AVX2``; ``DEFAULT`` if it uses none in particular."""
    capability: str = torch.backends.cpu.get_cpu_capability()
    return capability
