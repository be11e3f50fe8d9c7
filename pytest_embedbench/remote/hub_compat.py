"""Names of huggingface_hub that its documentation does not promise. No other module uses them.

``tests/remote/test_hub_compat.py`` fails when a name is gone; until then each has a fallback.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

OFFLINE_CONSTANT = "HF_HUB_OFFLINE"
"""Constant, and environment variable of the same name, that keep the Hub's client from the network."""

DEFAULT_ADDRESS = "https://huggingface.co"


def hub_address() -> str:
    """Return the address of the Hub that the client uses, for links in messages."""
    from huggingface_hub import constants

    return str(getattr(constants, "ENDPOINT", DEFAULT_ADDRESS))


def loaded_constants() -> ModuleType | None:
    """Return the client's module of constants if it is imported and has read ``HF_HUB_OFFLINE`` already.

    Setting the environment variable is then too late. Without the constant, the client is trusted to read the
    environment anew.
    """
    constants = sys.modules.get("huggingface_hub.constants")
    return constants if hasattr(constants, OFFLINE_CONSTANT) else None
