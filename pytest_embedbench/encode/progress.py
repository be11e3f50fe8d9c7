"""Progress callbacks for long-running work."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Callbacks for the progress of work, counted in tokens or texts."""

    def start(self, label: str, total: int) -> None: ...

    def expect(self, total: int) -> None:
        """Replace the total by a better estimate."""
        ...

    def count(self, texts: int, total: int) -> None:
        """Show how many texts are done, and of how many, with the next ``advance``."""
        ...

    def advance(self, tokens: int) -> None: ...
    def finish(self) -> None: ...


class SilentProgress:
    """Progress that shows nothing."""

    def start(self, label: str, total: int) -> None:
        pass

    def expect(self, total: int) -> None:
        pass

    def count(self, texts: int, total: int) -> None:
        pass

    def advance(self, tokens: int) -> None:
        pass

    def finish(self) -> None:
        pass
