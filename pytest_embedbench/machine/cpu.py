"""What torch can do on this CPU, where that decides which of several ways is the fast one."""

from __future__ import annotations

import torch


def has_onednn_on_avx512() -> bool:
    """Are there vectors of 512 bits, and oneDNN's own linear layer to use them?"""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch's own gap
        return False
    wide: bool = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return wide and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def multiplies_bf16() -> bool:
    """Does oneDNN multiply matrices of bf16 here, and not by way of fp32?"""
    # There is no public way to ask.
    return has_onednn_on_avx512() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001


def multiplies_fp16() -> bool:
    """Does oneDNN multiply matrices of fp16 here, and not by way of fp32?"""
    return has_onednn_on_avx512() and bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())  # noqa: SLF001


def fast_dtypes(device: str) -> tuple[str, ...]:
    """The 16-bit formats that the device has instructions for."""
    import torch

    if device.startswith("cuda"):
        # Without its own instructions a GPU's bf16 is slower than fp32.
        return ("bf16", "fp16") if torch.cuda.is_bf16_supported(including_emulation=False) else ("fp16",)
    if device.startswith("mps"):
        return ("fp16",)

    return tuple(name for name, has in (("bf16", multiplies_bf16), ("fp16", multiplies_fp16)) if has())
