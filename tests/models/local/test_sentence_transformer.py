"""Our tokenization, batching and forward pass against ``SentenceTransformer.encode`` with the real MiniLM."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.errors import ModelError
from pytest_embedbench.load.closed_loop import profile_side
from pytest_embedbench.load.server import MicroBatcher
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.models.load import load_model
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.protocol import Encoder
from pytest_embedbench.models.spec import ModelSpec, NamedModel

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from pytest_embedbench.datasets.types import Role

TEXTS = [
    "short",
    "",
    "A sentence of an ordinary length, with punctuation; and a number: 1234.",
    "naïve café — 日本語のテキスト 🙂",
    "long " * 400,
    "A sentence of an ordinary length, with punctuation; and a number: 1234.",
    "word " * 90,
    "   surrounded by blanks \n",
    "x",
    "two words",
    "antidisestablishmentarianism " * 20,
]
PROMPT = "Represent this query: "
LIMIT = 256
"""MiniLM's own maximal length in tokens."""


@pytest.fixture(scope="module")
def reference(minilm_folder: Path) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(minilm_folder), device="cpu")


@pytest.fixture(scope="module")
def prompted(minilm_folder: Path) -> SentenceTransformerModel:
    spec = ModelSpec(path=str(minilm_folder), query_prompt=PROMPT)
    return SentenceTransformerModel(NamedModel(alias="m", spec=spec), minilm_folder, device="cpu", dtype="fp32")


@pytest.fixture(scope="module")
def plain_vectors(reference: SentenceTransformer) -> Any:
    return reference.encode(TEXTS, batch_size=3)


@pytest.fixture(scope="module")
def prompted_vectors(reference: SentenceTransformer) -> Any:
    return reference.encode(TEXTS, prompt=PROMPT)


def ours(model: SentenceTransformerModel, texts: list[str], role: Role, batch_tokens: int = 4096) -> Any:
    encoded = encode(model, texts, role, batch_tokens=batch_tokens, progress=SilentProgress())
    return encoded.vectors[encoded.indices]


@pytest.mark.parametrize(
    ("role", "batch_tokens"),
    [("document", 1), ("document", 300), ("document", 700), ("query", 700), ("document", 100_000)],
)
def test_vectors_are_sentence_transformers_own(
    minilm: SentenceTransformerModel, plain_vectors: Any, role: Role, batch_tokens: int
) -> None:
    vectors = ours(minilm, TEXTS, role, batch_tokens)
    assert vectors.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(vectors, plain_vectors, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors[2], vectors[5]), "equal texts are one vector"


def test_a_query_prompt_goes_before_queries_only(
    prompted: SentenceTransformerModel, plain_vectors: Any, prompted_vectors: Any
) -> None:
    queries = ours(prompted, TEXTS, "query", 700)
    np.testing.assert_allclose(queries, prompted_vectors, atol=1e-5)
    np.testing.assert_allclose(ours(prompted, TEXTS, "document", 700), plain_vectors, atol=1e-5)
    assert np.abs(queries - plain_vectors).max() > 0.01
    assert prompted.facts.prompts == {"query": PROMPT}


def test_a_prompt_that_the_checkpoint_declares_is_used_unless_the_suite_has_its_own(
    minilm_folder: Path, tmp_path: Path, reference: SentenceTransformer
) -> None:
    for path in minilm_folder.rglob("*"):
        if path.is_file():
            link = tmp_path / path.relative_to(minilm_folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    config = tmp_path / "config_sentence_transformers.json"
    config.unlink()
    config.write_text('{"prompts": {"query": "ask: ", "document": "tell: "}, "default_prompt_name": "query"}')

    def load(**prompts: str) -> SentenceTransformerModel:
        spec = ModelSpec(path=str(tmp_path), **prompts)  # type: ignore[arg-type]
        return SentenceTransformerModel(NamedModel(alias="m", spec=spec), tmp_path, device="cpu", dtype="fp32")

    some = TEXTS[:4]
    declared = load()
    assert declared.facts.prompts == {"query": "ask: ", "document": "tell: "}
    np.testing.assert_allclose(ours(declared, some, "query"), reference.encode(some, prompt="ask: "), atol=1e-5)
    np.testing.assert_allclose(ours(declared, some, "document"), reference.encode(some, prompt="tell: "), atol=1e-5)
    silenced = load(query_prompt="", document_prompt="doc: ")
    assert silenced.facts.prompts == {"document": "doc: "}
    np.testing.assert_allclose(ours(silenced, some, "query"), reference.encode(some), atol=1e-5)


def test_texts_are_cut_at_the_maximal_length(
    minilm: SentenceTransformerModel, minilm_folder: Path, reference: SentenceTransformer
) -> None:
    # "word" is one token; with [CLS] and [SEP], 254 of them fit.
    texts = ["word " * 254, "word " * 255 + "tail", "word " * 254 + "another tail"]
    assert [text.length for text in minilm.prepare(texts, "document")] == [LIMIT] * 3
    vectors = ours(minilm, texts, "document")
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-6)
    assert np.abs(vectors[0] - ours(minilm, ["word " * 253 + "tail"], "document")[0]).max() > 1e-4

    spec = ModelSpec(path=str(minilm_folder), max_seq_length=16)
    short = SentenceTransformerModel(NamedModel(alias="m", spec=spec), minilm_folder, device="cpu", dtype="fp32")
    assert short.facts.max_tokens == 16
    assert max(text.length for text in short.prepare(TEXTS, "document")) == 16
    whole = reference.max_seq_length
    try:
        reference.max_seq_length = 16
        np.testing.assert_allclose(ours(short, TEXTS, "document", 100), reference.encode(TEXTS), atol=1e-5)
    finally:
        reference.max_seq_length = whole


def test_tokens_are_counted_with_and_without_what_is_not_the_texts_own(
    minilm: SentenceTransformerModel, prompted: SentenceTransformerModel, reference: SentenceTransformer
) -> None:
    tokenizer: Any = reference.tokenizer

    def count(text: str) -> int:
        return len(tokenizer.tokenize(text))

    assert count(PROMPT) == 4
    for text, plain, asked in zip(
        TEXTS, minilm.prepare(TEXTS, "document"), prompted.prepare(TEXTS, "query"), strict=True
    ):
        assert plain.own_tokens == min(count(text), LIMIT - 2)
        assert plain.length == plain.own_tokens + 2
        assert asked.own_tokens == min(count(text), LIMIT - 2 - count(PROMPT))
        assert asked.length == asked.own_tokens + count(PROMPT) + 2


def test_facts_are_the_models_own(minilm: SentenceTransformerModel) -> None:
    facts = minilm.facts
    assert isinstance(minilm, Encoder)
    assert (facts.architecture, facts.pooling, facts.dtype, facts.device) == ("bert", "mean", "fp32", "cpu")
    assert (facts.parameters, facts.dimensions, facts.max_tokens) == (22713216, 384, LIMIT)
    assert (facts.prompts, facts.trust_remote_code) == ({}, False)


def test_many_threads_tokenize_and_encode_at_once(
    minilm: SentenceTransformerModel, prompted: SentenceTransformerModel
) -> None:
    texts = [f"request number {n} {'and so on ' * (n % 5)}" for n in range(64)]
    roles: list[Role] = ["query", "document"]
    expected = {role: ours(prompted, texts, role) for role in roles}
    with MicroBatcher(prompted, 512) as server, ThreadPoolExecutor(16) as pool:
        calls = [(row, role) for row in range(len(texts)) for role in roles]
        answers = pool.map(lambda call: server.embed([texts[call[0]]], call[1])[0], calls)
        for (row, role), vector in zip(calls, answers, strict=True):
            np.testing.assert_allclose(vector, expected[role][row], atol=1e-5)


def test_a_load_profile_of_the_real_model(minilm: SentenceTransformerModel) -> None:
    texts = [f"question number {n}" for n in range(60)]
    found = profile_side(
        minilm,
        texts,
        "query",
        LoadShape(1, 4),
        requests=16,
        seconds=600,
        batch_tokens=512,
        progress=SilentProgress(),
    )
    assert (found.statistics.requests, found.statistics.distinct_texts) == (16, 16)
    assert found.statistics.own_tokens == 16 * 3
    assert found.statistics.tokens == 16 * 5


def test_load_model_finds_the_kind(minilm_folder: Path) -> None:
    model = load_model(NamedModel(alias="m", spec=ModelSpec(path=str(minilm_folder))), device="cpu", dtype="fp32")
    assert isinstance(model, SentenceTransformerModel)


def test_files_that_do_not_load_name_model_and_folder(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "config.json").write_text('{"model_type": "no such architecture"}')
    with pytest.raises(ModelError, match=rf"^model 'mine': {tmp_path} does not load: |^model 'mine': its first module"):
        load_model(NamedModel(alias="mine", spec=ModelSpec(path=str(tmp_path))), device="cpu", dtype="fp32")
