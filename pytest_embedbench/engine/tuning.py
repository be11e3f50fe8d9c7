"""Findings kept for the next session: batch budgets and number formats for this machine, and checkpoints' settings.

They may be lost at any time and are then measured again: a file that cannot be read counts as empty, and one that
cannot be written is skipped.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pytest_embedbench.core.bounded import BatchTokens
from pytest_embedbench.core.decoding import DecodingError, decode_json
from pytest_embedbench.core.files import write_atomically
from pytest_embedbench.core.locks import LockTimeoutError, file_locked
from pytest_embedbench.encode.cache_file import create_cache_folder
from pytest_embedbench.engine.dtype_choice import DtypeChoice

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_embedbench.models.local.settings_cache import Ready

TUNING_FILE = "tuning-1.json"
"""Name in the cache's folder; the digit is the version of the file's layout."""

READY_FOLDER = "ready-1"
"""Name in the cache's folder; a file for each checkpoint is in it."""

LOCK_SECONDS = 10.0
"""Seconds to wait for the lock; after that, the finding is not kept."""


Decoded = TypeVar("Decoded")


class Tuned(msgspec.Struct, kw_only=True):
    """Content of the file. A key names hardware, threads, model files and libraries."""

    batch_tokens: dict[str, BatchTokens] = {}
    dtypes: dict[str, DtypeChoice] = {}


class Tuning:
    """Findings in a folder's files; without a folder nothing is kept.

    With ``remembered=False`` they are written but not read, so that everything is measured anew.
    """

    def __init__(self, folder: Path | None, *, remembered: bool = True) -> None:
        self._path = folder and folder / TUNING_FILE
        self._remembered = remembered

    def batch_tokens(self, key: str) -> int | None:
        """Return the token budget kept for this key."""
        return self._read().batch_tokens.get(key) if self._remembered else None

    def dtype(self, key: str) -> DtypeChoice | None:
        """Return the number format kept for this key."""
        return self._read().dtypes.get(key) if self._remembered else None

    @property
    def dtypes(self) -> list[DtypeChoice]:
        """All choices of number formats."""
        return list(self._read().dtypes.values()) if self._remembered else []

    def keep_batch_tokens(self, key: str, tokens: int) -> None:
        """Keep a token budget for the next session."""
        self._change(lambda tuned: tuned.batch_tokens.update({key: tokens}))

    def keep_dtype(self, key: str, choice: DtypeChoice) -> None:
        """Keep a number format for the next session."""
        self._change(lambda tuned: tuned.dtypes.update({key: choice}))

    def ready(self, name: str) -> Ready | None:
        """Return a checkpoint's settings as read earlier.

        ``remembered`` makes no difference: the settings come from files, and nothing is measured for them.
        """
        from pytest_embedbench.models.local.settings_cache import Ready

        return _read(self._ready_file(name), Ready)

    def keep_ready(self, name: str, ready: Ready) -> None:
        """Keep a checkpoint's settings for the next session."""
        if file := self._ready_file(name):
            with suppress(OSError):
                create_cache_folder(file.parent.parent)
                write_atomically(file, msgspec.json.encode(ready).decode())

    def _ready_file(self, name: str) -> Path | None:
        return self._path and self._path.with_name(READY_FOLDER) / f"{name}.json"

    def _read(self) -> Tuned:
        return _read(self._path, Tuned) or Tuned()

    def _change(self, change: Callable[[Tuned], None]) -> None:
        if self._path is None:
            return
        with suppress(OSError, LockTimeoutError):
            create_cache_folder(self._path.parent)
            with file_locked(self._path.with_suffix(".lock"), "what is known of this machine", seconds=LOCK_SECONDS):
                # Read again under the lock: workers of xdist write the same file.
                tuned = self._read()
                change(tuned)
                # Sorted keys, so that equal findings are equal bytes.
                text = msgspec.json.format(msgspec.json.encode(tuned, order="deterministic"), indent=1)
                write_atomically(self._path, text.decode())


def _read(file: Path | None, kind: type[Decoded]) -> Decoded | None:
    if file is not None:
        with suppress(OSError, DecodingError):
            return decode_json(file.read_bytes(), kind)
    return None
