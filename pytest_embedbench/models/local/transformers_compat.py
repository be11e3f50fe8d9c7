"""Private names of transformers that have no public form, each with a fallback for releases that lack it.

``tests/models/local/test_transformers_compat.py`` fails as soon as one of them is gone. Imports nothing of
transformers: ``bert.py`` does without it.
"""

from __future__ import annotations

from typing import Any


def attention_kernel(config: Any) -> str:
    """Return transformers' name of the attention kernel in a model's configuration, e.g. ``sdpa``.

    Empty if the configuration does not name one; then no batch goes without padding through transformers' modules.
    """
    return str(getattr(config, "_attn_implementation", None) or "")
