"""Records of the measurements, in a file that is complete after every run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Record = dict[str, Any]
Part = dict[str, Any]
"""Facts about a part (a collection, the start, growth), and its ``runs``: by system, in order."""


class Book:
    """Records by part and system, in a JSON file. Records of earlier sessions stay until they are measured again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.content: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}

    def tell(self, **facts: Any) -> None:
        """Store facts about the session: the machine, versions."""
        self.content |= facts
        self._save()

    def part(self, name: str) -> Part:
        """Return a part; a new one is empty."""
        parts: dict[str, Part] = self.content.setdefault("parts", {})
        return parts.setdefault(name, {"runs": {}})

    def begin(self, name: str, systems: list[str], **facts: Any) -> None:
        """Drop the records of these systems, and store facts about the part."""
        part = self.part(name)
        part |= facts
        for system in systems:
            part["runs"][system] = []
        self._save()

    def add(self, name: str, system: str, record: Record) -> None:
        self.part(name)["runs"].setdefault(system, []).append(record)
        self._save()

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".tmp")
        beside.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")
        beside.replace(self._path)
