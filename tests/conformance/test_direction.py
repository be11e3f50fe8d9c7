"""The direction of attention is that which the architecture declares, or the probe fails."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench import catalog
from pytest_embedbench.conformance.direction import declared_direction
from pytest_embedbench.conformance.probes import PROBES
from pytest_embedbench.conformance.subject import Subject
from pytest_embedbench.models.callable import CallableModel
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.spec import ModelSpec, NamedModel

if TYPE_CHECKING:
    from pytest_embedbench.conformance.outcome import ProbeOutcome

UNKNOWN = ModelSpec(hub="someone/unknown")


def load(folder: Path, dtype: str = "fp32", **keys: Any) -> SentenceTransformerModel:
    named = NamedModel(alias="m", spec=ModelSpec(path=str(folder)))
    return SentenceTransformerModel(named, folder, device="cpu", dtype=dtype, **keys)


def ask(model: Any, spec: ModelSpec = UNKNOWN) -> ProbeOutcome:
    return PROBES["direction"].ask(Subject(NamedModel(alias="m", spec=spec), model))


def edited(folder: Path, to: Path, **settings: object) -> Path:
    """Copy a checkpoint with other settings in its config.json."""
    shutil.copytree(folder, to)
    file = to / "config.json"
    file.chmod(0o644)
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | settings), encoding="utf-8")
    return to


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_sound_models_pass(minilm_folder: Path, qwen3_folder: Path, dtype: str, packed: bool) -> None:
    for folder, direction in ((minilm_folder, "bidirectional"), (qwen3_folder, "causal")):
        found = ask(load(folder, dtype, packed=packed))
        assert (found.status, found.measured) == ("passed", direction)
        assert found.values.keys() == {"earlier tokens moved", "later tokens moved"}


@pytest.mark.parametrize("probe", ["concurrency", "equal-length", "state", "batch-invariance"])
def test_a_decoder_passes_the_probes_of_its_surroundings(qwen3_folder: Path, probe: str) -> None:
    found = PROBES[probe].ask(Subject(NamedModel(alias="m", spec=UNKNOWN), load(qwen3_folder)))
    assert found.status == "passed"


def test_a_decoder_that_attends_both_ways_is_caught(qwen3_folder: Path) -> None:
    model = load(qwen3_folder)
    for module in model._network._body._model.modules():  # type: ignore[attr-defined]
        if hasattr(module, "is_causal"):
            module.is_causal = False
    found = ask(model)
    assert found.status == "failed"
    assert "its attention is bidirectional, and should be causal" in found.explanation
    assert "\nfix: " in found.explanation


def test_an_encoder_with_a_causal_mask_is_caught(minilm_folder: Path, tmp_path: Path) -> None:
    model = load(edited(minilm_folder, tmp_path / "causal", is_decoder=True))
    # Its own settings ask for it, so only the catalogue's entry tells that they are wrong.
    assert ask(model).measured == "causal"
    found = ask(model, catalog.models()["minilm"])
    assert found.status == "failed"
    assert "its attention is causal, and should be bidirectional" in found.explanation


def test_attention_to_nothing_is_caught(minilm_folder: Path) -> None:
    model = load(minilm_folder)
    network: Any = model._network
    whole = network.states
    import torch

    network.states = lambda text: torch.cat([whole(text._replace(payload=[token])) for token in text.payload])
    found = ask(model)
    assert found.status == "failed"
    assert "its attention is to no other token, and should be bidirectional" in found.explanation


def test_what_cannot_be_told_is_skipped_with_the_reason(
    minilm_folder: Path, static_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = ask(CallableModel(lambda texts, _: [[1.0] for _ in texts]))
    assert function.status == "skipped"
    assert "only local models give them" in function.explanation
    assert ask(load(static_folder)).explanation == "it has no transformer"
    model = load(minilm_folder)
    monkeypatch.setattr(type(model), "settings", {"model_type": "novel"})
    assert ask(model).explanation == "nothing says what it should be for 'novel'"


@pytest.mark.parametrize(
    ("settings", "direction"),
    [
        ({"model_type": "qwen3"}, "causal"),
        ({"model_type": "qwen3", "is_causal": False}, "bidirectional"),
        ({"model_type": "gemma3_text"}, "causal"),
        ({"model_type": "gemma3_text", "use_bidirectional_attention": True}, "bidirectional"),
        ({"model_type": "bert", "is_decoder": False}, "bidirectional"),
        ({"model_type": "bert", "is_decoder": True}, "causal"),
        ({"model_type": "new"}, None),
        ({}, None),
    ],
)
def test_settings_declare_a_direction(settings: dict[str, object], direction: str | None) -> None:
    assert declared_direction(settings) == direction
