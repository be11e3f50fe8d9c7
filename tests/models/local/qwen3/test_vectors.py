"""Our vectors are those of a plain forward pass per text, whatever the batch, the padding and the attention kernel."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.models.local.library_network import LibraryNetwork
from tests.support.qwen3_checkpoint import INSTRUCTION, PROMPT, write_json

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from pytest_embedbench.models.protocol import Encoder, Vectors
    from tests.models.local.qwen3.conftest import Load
    from tests.models.local.qwen3.plain import PlainQwen3

TEXTS = [
    "",
    "x",
    "Green tea is steamed or pan fired soon after picking, so that its leaves do not oxidize.",
    "你好世界 🙂",
    "how does a volcano erupt",
    "def f(x):\n    return x + 1\n",
    " two  blanks ",
    "A sentence of an ordinary length, with a number: 1234. " * 8,
    "how does a volcano erupt",
    "Whales come up to the surface and breathe. " * 60,
]
"""From no token to some 500."""

BUDGETS = [1, 64, 700, 100_000]
"""Tokens of a batch: one text in each, some, and all in one."""


def ours(model: Encoder, texts: list[str], role: Role, batch_tokens: int) -> Vectors:
    encoded = encode(model, texts, role, batch_tokens=batch_tokens, progress=SilentProgress())
    return encoded.vectors[encoded.indices]


def distance(one: Vectors, other: Vectors) -> float:
    """The largest 1 - cosine of two rows."""
    return float((1 - (one.astype(np.float64) * other).sum(axis=1)).max())


@pytest.fixture(scope="module")
def right(plain: PlainQwen3) -> dict[str, Vectors]:
    return {"document": plain.vectors(TEXTS), "query": plain.vectors(TEXTS, PROMPT)}


@pytest.fixture(scope="module", params=["sdpa packed", "sdpa left", "eager left", "sdpa right"])
def variant(
    request: pytest.FixtureRequest, qwen3_folder: Path, tmp_path_factory: pytest.TempPathFactory, load: Load
) -> SentenceTransformerModel:
    """Return the model with an attention kernel and a padding side; each is what the checkpoint's files ask for."""
    kernel, how = request.param.split()
    side = "left" if how == "packed" else how
    folder = shutil.copytree(qwen3_folder, tmp_path_factory.mktemp("variant") / "model")
    for file, key, value in (("config", "attn_implementation", kernel), ("tokenizer_config", "padding_side", side)):
        path = folder / f"{file}.json"
        write_json(path, {**json.loads(path.read_text("utf-8")), key: value})
    model = load(folder, packed=how == "packed")
    if how == "packed":
        kernel = "sdpa, packed"
    assert (model.facts.attention, model.facts.padding_side) == (kernel, side)
    return model


def test_vectors_are_those_of_a_plain_pass(variant: SentenceTransformerModel, right: dict[str, Vectors]) -> None:
    roles: tuple[Role, ...] = ("document", "query")
    for role in roles:
        for budget in BUDGETS:
            found = ours(variant, TEXTS, role, budget)
            np.testing.assert_allclose(found, right[role], atol=1e-5, err_msg=f"{role} {budget}")
            assert np.array_equal(found[4], found[8]), "equal texts are one vector"


def test_texts_differ(right: dict[str, Vectors]) -> None:
    """The random model tells these texts apart far better than the tolerance, so that comparing says something."""
    different = [index for index in range(len(TEXTS)) if index != 8]
    for vectors in right.values():
        unlike = 1 - vectors[different] @ vectors[different].T
        assert unlike[~np.eye(len(different), dtype=bool)].min() > 0.005
    assert (1 - (right["document"] * right["query"]).sum(axis=1)).max() > 0.1


def test_padding_is_on_the_left_and_masked(qwen3_folder: Path, load: Load) -> None:
    qwen3 = load(qwen3_folder, packed=False)
    assert isinstance(qwen3._network, LibraryNetwork)
    seen: list[dict[str, Any]] = []
    hook = qwen3._network.model[0].register_forward_pre_hook(lambda _, arguments: seen.append(dict(arguments[0])))
    qwen3.forward(qwen3.prepare(["x", "three words here"], "document"), "document")
    hook.remove()
    (features,) = seen
    assert features["attention_mask"].tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]
    assert features["input_ids"][0, -1] == features["input_ids"][1, -1] == 151643
    assert features["input_ids"][0, :2].tolist() == [151643, 151643], "it pads with the end token"


def test_in_bf16_vectors_are_near_and_of_length_one(
    qwen3_folder: Path, qwen_tokens: Any, load: Load, right: dict[str, Vectors]
) -> None:
    import torch

    from tests.models.local.qwen3.plain import PlainQwen3

    plain = PlainQwen3(qwen3_folder, qwen_tokens, dtype=torch.bfloat16).vectors(TEXTS)
    model = load(qwen3_folder, dtype="bf16")
    for budget in BUDGETS:
        found = ours(model, TEXTS, "document", budget)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
        assert distance(found, plain) < 5e-4
        assert distance(found, right["document"]) < 5e-4


def test_facts_say_what_it_is(qwen3: SentenceTransformerModel) -> None:
    facts = qwen3.facts
    assert (facts.architecture, facts.pooling, facts.padding_side, facts.normalized) == (
        "qwen3",
        "lasttoken",
        "left",
        True,
    )
    assert (facts.dimensions, facts.dtype, facts.attention) == (32, "fp32", "sdpa, packed")
    assert facts.prompts == {"query": PROMPT}


# Prompts


TASK = "Instruct: {task}\nQuery:"


def test_the_datasets_instruction_stands_in_the_query_prompt_alone(
    qwen3_folder: Path, plain: PlainQwen3, load: Load, right: dict[str, Vectors]
) -> None:
    from pytest_embedbench.models.protocol import InstructedEncoder
    from pytest_embedbench.models.spec import ModelSpec, NamedModel

    named = NamedModel(alias="qwen", spec=ModelSpec(path=str(qwen3_folder), query_prompt=TASK))
    model = load(qwen3_folder, query_prompt=TASK)
    assert isinstance(model, InstructedEncoder)
    weights = next(iter(model._network.parameters())).data_ptr()
    for instruction in ("Given a claim, find documents that refute it", "根据问题检索相关段落", INSTRUCTION):
        told: Any = model.with_prompts(named.on_task(instruction).prompts)
        prompt = f"Instruct: {instruction}\nQuery:"
        assert told.facts.prompts == {"query": prompt}
        found = ours(told, TEXTS, "query", 300)
        np.testing.assert_allclose(found, plain.vectors(TEXTS, prompt), atol=1e-5)
        np.testing.assert_allclose(ours(told, TEXTS, "document", 300), right["document"], atol=1e-5)
        moved = 1 - (found * right["query"]).sum(axis=1)
        assert (moved.min() > 1e-4) if instruction != INSTRUCTION else (moved.max() < 1e-5)
        assert next(iter(told._network.parameters())).data_ptr() == weights, "weights are shared"
    assert model.facts.prompts == {"query": PROMPT}, "without an instruction it is Qwen's own, which the checkpoint has"


def test_a_dataset_without_an_instruction_gets_the_models_own_task(qwen3_folder: Path) -> None:
    from pytest_embedbench.models.spec import ModelSpec, NamedModel

    spec = ModelSpec(path=str(qwen3_folder), query_prompt=TASK, task="Find the part's number")
    assert NamedModel(alias="q", spec=spec).on_task("").prompts["query"] == "Instruct: Find the part's number\nQuery:"
    assert NamedModel(alias="q", spec=spec).on_task("Find").prompts["query"] == "Instruct: Find\nQuery:"
    declared = ModelSpec(path=str(qwen3_folder))
    assert NamedModel(alias="q", spec=declared).on_task("Find").prompts == {"query": None, "document": None}
