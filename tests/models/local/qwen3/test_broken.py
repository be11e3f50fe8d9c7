"""How far each wrong way to serve Qwen3 is from the right one: what probes and quality checks have to see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from pytest_embedbench.conformance.samples import LONG_TEXT, PROBE_TEXTS
from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from tests.models.local.qwen3 import broken
from tests.support.qwen3_checkpoint import PROMPT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from pytest_embedbench.models.protocol import Encoder
    from tests.models.local.qwen3.conftest import Load

MIXED = [*PROBE_TEXTS, LONG_TEXT]
"""One batch: questions, answers, and a text that is much longer."""


class Apart(NamedTuple):
    """1 - cosine of each text's vector to the right one, shape (texts,)."""

    documents: NDArray[np.float64]
    queries: NDArray[np.float64]


def apart(model: Encoder, right: Encoder, batch_tokens: int = 100_000) -> Apart:
    def distance(role: Role) -> NDArray[np.float64]:
        one, other = (
            encode(each, MIXED, role, batch_tokens=batch_tokens, progress=SilentProgress()).vectors.astype(np.float64)
            for each in (model, right)
        )
        distances: NDArray[np.float64] = 1 - (one * other).sum(axis=1)
        return distances

    return Apart(distance("document"), distance("query"))


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "broken"


def test_the_right_model_is_not_apart_from_itself(qwen3: SentenceTransformerModel) -> None:
    assert max(map(np.max, apart(qwen3, qwen3, 1))) < 1e-6


def test_right_padding_with_the_last_place_pooled(qwen3: SentenceTransformerModel, qwen3_folder: Path) -> None:
    named = NamedModel(alias="qwen", spec=ModelSpec(path=str(qwen3_folder)))
    wrong = broken.RightPadded(named, qwen3_folder, device="cpu", dtype="fp32")
    assert wrong.facts == qwen3.facts, "it does not know of it"
    for distances in apart(wrong, qwen3):
        assert distances[:-1].min() > 0.005, "each text but the longest"
        assert distances[-1] < 1e-6
    assert max(map(np.max, apart(wrong, qwen3, batch_tokens=1))) < 1e-6, "alone each text is right"


def test_mean_pooling(qwen3: SentenceTransformerModel, qwen3_folder: Path, load: Load, to: Path) -> None:
    wrong = load(broken.mean_pooled(qwen3_folder, to))
    assert wrong.facts.pooling == "mean"
    assert min(map(np.min, apart(wrong, qwen3))) > 0.05


def test_a_missing_end_token(qwen3: SentenceTransformerModel, qwen3_folder: Path, load: Load, to: Path) -> None:
    wrong = load(broken.without_end(qwen3_folder, to))
    (ours,), (right,) = (
        wrong.prepare(["how does tea grow"], "document"),
        qwen3.prepare(["how does tea grow"], "document"),
    )
    assert [*ours.payload, 151643] == right.payload
    assert ours.length == ours.own_tokens == right.own_tokens
    assert min(map(np.min, apart(wrong, qwen3))) > 0.05


def test_a_forgotten_prompt(qwen3: SentenceTransformerModel, qwen3_folder: Path, load: Load, to: Path) -> None:
    wrong = load(broken.without_prompt(qwen3_folder, to))
    assert wrong.facts.prompts == {}
    found = apart(wrong, qwen3)
    assert found.documents.max() < 1e-6
    assert found.queries.min() > 0.005


def test_a_space_after_the_prompt(qwen3: SentenceTransformerModel, qwen3_folder: Path, load: Load, to: Path) -> None:
    wrong = load(broken.with_space(qwen3_folder, to))
    assert wrong.facts.prompts == {"query": f"{PROMPT} "}
    found = apart(wrong, qwen3)
    assert found.documents.max() < 1e-6
    assert found.queries.max() > 0.005
    assert found.queries.min() > 1e-5
