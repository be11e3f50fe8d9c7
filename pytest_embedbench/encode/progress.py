"""Who hears of work done while it is done."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Hears of work done; a terminal's bar, or nothing."""

    def start(self, label: str, total: int) -> None: ...

    def expect(self, total: int) -> None:
        """Hear a better estimate of the total."""
        ...

    def advance(self, tokens: int) -> None: ...
    def finish(self) -> None: ...


class SilentProgress:
    """Progress that nobody sees."""

    def start(self, label: str, total: int) -> None:
        pass

    def expect(self, total: int) -> None:
        pass

    def advance(self, tokens: int) -> None:
        pass

    def finish(self) -> None:
        pass
