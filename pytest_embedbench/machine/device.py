"""Choice of the device that local models run on."""

from __future__ import annotations


def best_device() -> str:
    """Return the fastest device that torch finds on this machine, as torch names it."""
    # Imported here: a session whose models run elsewhere does without torch.
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
