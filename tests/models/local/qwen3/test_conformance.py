"""Each way in which Qwen3-Embedding is served wrongly is caught by a probe, under the catalogue's name for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pytest_embedbench import catalog
from pytest_embedbench.conformance.probes import PROBES
from pytest_embedbench.conformance.subject import Subject
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from tests.models.local.qwen3 import broken

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_embedbench.conformance.outcome import ProbeOutcome
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from tests.models.local.qwen3.conftest import Load


def outcomes(folder: Path, model: SentenceTransformerModel, right: SentenceTransformerModel) -> dict[str, ProbeOutcome]:
    """Ask the model of this folder under its catalogue name, with the right one as its reference."""
    subject = Subject(NamedModel(alias="served", spec=definition(folder)), model, right)
    # Random weights answer no question, are narrower than the real model, and need no long text here.
    left_out = {"sanity", "matryoshka", "dimension", "context"}
    return {name: probe.ask(subject) for name, probe in PROBES.items() if name not in left_out}


def definition(folder: Path) -> ModelSpec:
    # The checkpoint's own prompts are what is asked about, so the definition has none.
    known = catalog.models()["qwen3-0.6b"]
    return msgspec.structs.replace(known, hub="", path=str(folder), query_prompt=None, document_prompt=None)


def failed(found: dict[str, ProbeOutcome]) -> set[str]:
    return {name for name, outcome in found.items() if outcome.status == "failed"}


def test_the_right_model_passes(qwen3_folder: Path, qwen3: SentenceTransformerModel) -> None:
    found = outcomes(qwen3_folder, qwen3, qwen3)
    assert failed(found) == set()
    passed = {name for name, outcome in found.items() if outcome.status == "passed"}
    assert {"batch-invariance", "declaration", "prompts", "roles", "parity"} <= passed


@pytest.mark.parametrize(
    ("make", "caught", "said"),
    [
        (broken.mean_pooled, "declaration", "it pools by 'mean', 'lasttoken' is declared"),
        (broken.without_end, "declaration", "puts no end-of-text token there"),
        (broken.without_prompt, "prompts", "before a query stands ''"),
        (broken.with_space, "prompts", "Query: '"),
    ],
)
def test_a_wrong_variant_is_caught(
    make: Callable[[Path, Path], Path],
    caught: str,
    said: str,
    qwen3_folder: Path,
    qwen3: SentenceTransformerModel,
    load: Load,
    tmp_path: Path,
) -> None:
    wrong = make(qwen3_folder, tmp_path / "wrong")
    found = outcomes(wrong, load(wrong), qwen3)
    assert {caught, "parity"} <= failed(found)
    assert said in found[caught].explanation


def test_padding_on_the_right_with_the_last_place_pooled_is_caught(
    qwen3_folder: Path, qwen3: SentenceTransformerModel
) -> None:
    named = NamedModel(alias="served", spec=definition(qwen3_folder))
    found = outcomes(qwen3_folder, broken.RightPadded(named, qwen3_folder, device="cpu", dtype="fp32"), qwen3)
    assert "batch-invariance" in failed(found)
    assert 'padding_side = "left"' in found["batch-invariance"].explanation
