"""A model that counts what it encodes, and sessions that use a cache with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_embedbench.encode.cache import DEFAULT_MAX_BYTES, Space, VectorCache
from pytest_embedbench.encode.loop import Encoded, encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.models.protocol import ModelFacts, PreparedText

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors

FACTS = ModelFacts(
    prompts={"query": "ask: "}, max_tokens=512, dtype="fp32", device="cuda:0", attention="sdpa", pooling="mean"
)


class CountingModel:
    """Model with one token a letter and one special token; records the texts that it encodes."""

    facts = FACTS

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self.tokenized: list[str] = []
        self.encoded: list[str] = []

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        self.tokenized += texts
        return [PreparedText(text, len(text) + 1, len(text)) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        self.encoded += [text.payload for text in batch]
        return np.array([self.vector(text.payload) for text in batch], np.float32)

    def vector(self, text: str) -> Vectors:
        """Numbers that no other text has; among them the smallest float and a negative zero."""
        seed = np.frombuffer(text.encode("utf-8", "surrogatepass") + b".", np.uint8)
        numbers = np.random.default_rng(seed).standard_normal(self.dimensions, np.float32)
        numbers[:2] = (np.float32(1e-45), np.float32(-0.0))
        return numbers


class Desk:
    """Folder of a cache, used by one session after the other."""

    facts = FACTS

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []
        """Notes of the last session that ``run`` opened."""
        self._opened: list[VectorCache] = []

    def session(self, *, max_bytes: int = DEFAULT_MAX_BYTES, since: float = 0.0) -> VectorCache:
        self._opened.append(VectorCache(self.folder, max_bytes=max_bytes, since=since))
        return self._opened[-1]

    @staticmethod
    def space(
        cache: VectorCache,
        role: Role = "document",
        *,
        name: str = "org/model",
        fingerprint: str = "print",
        facts: ModelFacts = FACTS,
        torch: str = "2",
    ) -> Space:
        return cache.spaces(name, fingerprint, facts, {"torch": torch, "transformers": "5"})[role]

    def run(
        self,
        texts: Sequence[str],
        cache: VectorCache | None = None,
        *,
        name: str = "org/model",
        dimensions: int = 8,
        budget: int = 40,
    ) -> tuple[Encoded, CountingModel]:
        """Encode with a model of a new session (or that of ``cache``); each text must get its vector, bit for bit."""
        model, session = CountingModel(dimensions), cache or self.session()
        space = self.space(session, name=name, fingerprint=name)
        result = encode(model, texts, "document", batch_tokens=budget, progress=SilentProgress(), cache=space)
        if cache is None:
            session.close()
        self.notes = session.notes
        assert [result.vectors[index].tobytes() for index in result.indices] == [
            model.vector(text).tobytes() for text in texts
        ]
        return result, model

    def close(self) -> None:
        for cache in self._opened:
            cache.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Return a folder for a cache, in which none is yet."""
    actual = Desk(tmp_path / "cache")
    yield actual
    actual.close()
