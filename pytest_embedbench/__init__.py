"""Test embedding models the way you test code: quality, latency and evidence as pytest items."""

__version__ = "0.1.0"
