"""Files that are written whole or not at all, and names that are safe as file names."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path


def write_atomically(path: Path, content: str) -> None:
    """Write a text file so that a killed process leaves the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # noqa: PTH101 - mkstemp made it private
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108
        raise


def file_name(name: str) -> str:
    """A name as one folder or file: ``org/model`` becomes ``org__model``, and none leads out of its folder."""
    return re.sub(r"[^\w.@=+-]", "_", name.replace("/", "__")).lstrip(".") or "_"
