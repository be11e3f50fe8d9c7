"""Which number formats a device multiplies faster than fp32."""

from __future__ import annotations


def fast_dtypes(device: str) -> tuple[str, ...]:
    """The 16-bit formats that the device has instructions for."""
    import torch

    if device.startswith("cuda"):
        # Without its own instructions a GPU's bf16 is slower than fp32.
        return ("bf16", "fp16") if torch.cuda.is_bf16_supported(including_emulation=False) else ("fp16",)
    if device.startswith("mps"):
        return ("fp16",)
    from pytest_embedbench.models.instructions import multiplies_bf16, multiplies_fp16

    return tuple(name for name, has in (("bf16", multiplies_bf16), ("fp16", multiplies_fp16)) if has())
