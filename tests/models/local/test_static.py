"""Static embeddings, saved by sentence-transformers or Model2Vec, against their own encode."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.errors import ModelError
from pytest_embedbench.load.closed_loop import profile_side
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.models.load import load_model
from pytest_embedbench.models.protocol import Encoder, InstructedEncoder
from pytest_embedbench.models.registry import locate
from pytest_embedbench.models.spec import ModelSpec, NamedModel

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role

TEXTS = [
    "short",
    "",
    "A sentence of an ordinary length, with punctuation; and a number: 1234.",
    "naïve café — 日本語のテキスト 🙂",
    "long " * 3000,
    "   surrounded by blanks \n",
    "short",
]
DIMENSIONS = 48
PROMPT = "Represent this query: "


def load(folder: Path, dtype: str = "fp32", **keys: Any) -> Any:
    return load_model(NamedModel(alias="static", spec=ModelSpec(path=str(folder), **keys)), device="cpu", dtype=dtype)


def ours(model: Encoder, texts: list[str], role: Role = "document", batch_tokens: int = 4096) -> Any:
    encoded = encode(model, texts, role, batch_tokens=batch_tokens, progress=SilentProgress())
    return encoded.vectors[encoded.indices]


@pytest.fixture(scope="module")
def reference(static_folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(static_folder), device="cpu")


@pytest.mark.parametrize("batch_tokens", [1, 50, 100_000])
def test_vectors_are_exactly_sentence_transformers_own(static_folder: Path, reference: Any, batch_tokens: int) -> None:
    vectors = ours(load(static_folder), TEXTS, batch_tokens=batch_tokens)
    assert vectors.shape == (len(TEXTS), DIMENSIONS)
    assert np.array_equal(vectors, reference.encode(TEXTS, batch_size=2))
    assert not vectors[1].any(), "a text without tokens has the mean of nothing"
    np.testing.assert_allclose(np.linalg.norm(np.delete(vectors, 1, axis=0), axis=1), 1, atol=1e-6)


def test_a_batch_of_empty_texts_has_vectors_too(static_folder: Path) -> None:
    model = load(static_folder)
    assert np.array_equal(model.forward(model.prepare(["", " "], "query"), "query"), np.zeros((2, DIMENSIONS)))


def test_prompts_go_before_their_texts_and_are_not_the_texts_own_tokens(static_folder: Path, reference: Any) -> None:
    model = load(static_folder, query_prompt=PROMPT)
    assert isinstance(model, InstructedEncoder)
    assert np.array_equal(ours(model, TEXTS, "query"), reference.encode(TEXTS, prompt=PROMPT))
    assert np.array_equal(ours(model, TEXTS, "document"), reference.encode(TEXTS))
    (asked,), (plain,) = model.prepare(["two words"], "query"), model.prepare(["two words"], "document")
    assert (asked.length, asked.own_tokens, plain.length, plain.own_tokens) == (6, 2, 2, 2)
    other = model.with_prompts({"query": "Q: ", "document": None})
    assert np.array_equal(ours(other, TEXTS, "query"), reference.encode(TEXTS, prompt="Q: "))
    assert (other.facts.prompts, model.facts.prompts) == ({"query": "Q: "}, {"query": PROMPT})


def test_facts_are_the_models_own(static_folder: Path) -> None:
    facts = load(static_folder).facts
    assert (facts.architecture, facts.pooling, facts.dimensions) == ("StaticEmbedding", "mean", DIMENSIONS)
    assert (facts.max_tokens, facts.attention, facts.padding_side, facts.backend) == (None, "", "", "")
    assert (facts.normalized, facts.parameters, facts.dtype) == (True, 30522 * DIMENSIONS, "fp32")
    assert facts.notices == ()


def test_without_a_normalize_module_vectors_keep_their_lengths(static_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(static_folder, tmp_path / "bare"))
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    (folder / "modules.json").write_text(json.dumps(modules[:1]), "utf-8")
    model = load(folder)
    assert not model.facts.normalized
    bare, unit = ours(model, TEXTS[2:]), ours(load(static_folder), TEXTS[2:])
    assert np.abs(np.linalg.norm(bare, axis=1) - 1).min() > 0.1
    np.testing.assert_allclose(bare / np.linalg.norm(bare, axis=1, keepdims=True), unit, atol=1e-6)


def test_texts_are_cut_where_the_definition_or_the_tokenizer_says(
    static_folder: Path, reference: Any, tmp_path: Path
) -> None:
    cut = load(static_folder, max_seq_length=10)
    assert cut.facts.max_tokens == 10
    assert [text.length for text in cut.prepare(["word " * 50, "one"], "document")] == [10, 1]
    assert np.array_equal(ours(cut, ["word " * 5 + "tail " * 50]), reference.encode(["word " * 5 + "tail " * 5]))

    folder = Path(shutil.copytree(static_folder, tmp_path / "cut"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    tokenizer["truncation"] = {"direction": "Right", "max_length": 20, "strategy": "LongestFirst", "stride": 0}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    from sentence_transformers import SentenceTransformer

    said = load(folder)
    assert said.facts.max_tokens == 20
    assert np.array_equal(ours(said, TEXTS), SentenceTransformer(str(folder), device="cpu").encode(TEXTS))
    assert load(folder, max_seq_length=8).facts.max_tokens == 8


def test_the_number_format_that_was_asked_for(static_folder: Path) -> None:
    half = load(static_folder, dtype="bf16")
    assert half.facts.dtype == "bf16"
    exact, rounded = ours(load(static_folder), TEXTS[2:4]), ours(half, TEXTS[2:4])
    assert rounded.dtype == np.float32
    assert 1e-5 < np.abs(exact - rounded).max() < 0.02


def test_a_profile_runs(static_folder: Path) -> None:
    found = profile_side(
        load(static_folder),
        [f"question number {n}" for n in range(40)],
        "query",
        LoadShape(1, 4),
        requests=16,
        seconds=600,
        batch_tokens=512,
        progress=SilentProgress(),
    )
    assert (found.statistics.requests, found.statistics.own_tokens) == (16, 16 * 3)


def test_changed_weights_are_another_model(static_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(static_folder, tmp_path / "changed"))
    named = NamedModel(alias="static", spec=ModelSpec(path=str(folder)))
    before = locate(named).fingerprint
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert locate(named).fingerprint != before


@pytest.mark.parametrize("shared_vectors", [False, True], ids=["a vector a token", "tokens that share vectors"])
def test_what_model2vec_saves_is_a_static_model_too(minilm_folder: Path, tmp_path: Path, shared_vectors: bool) -> None:
    model2vec = pytest.importorskip("model2vec", reason="needs model2vec: it saves the model of this test")
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    if shared_vectors and not hasattr(StaticEmbedding, "_fold_model2vec_weights"):
        pytest.skip("this release of sentence-transformers does not read such a model")
    tokenizer = Tokenizer.from_file(str(minilm_folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    rng = np.random.default_rng(3)
    size = tokenizer.get_vocab_size()
    shared = {"weights": rng.uniform(0.1, 1, size).astype(np.float32), "token_mapping": rng.integers(0, 1000, size)}
    vectors = rng.normal(size=(1000 if shared_vectors else size, 32)).astype(np.float32)
    made = model2vec.StaticModel(vectors, tokenizer, normalize=True, **(shared if shared_vectors else {}))
    made.save_pretrained(str(tmp_path / "potion"))
    model = load(tmp_path / "potion")
    assert (model.facts.architecture, model.facts.dimensions, model.facts.normalized) == ("StaticEmbedding", 32, True)
    texts = [text for text in TEXTS if text.strip() and "🙂" not in text]  # it leaves unknown tokens out, ours do not
    # numpy and torch add up 3000 vectors in different orders.
    np.testing.assert_allclose(ours(model, texts), made.encode(texts, max_length=None), atol=5e-5)


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import BoW

    bag = SentenceTransformer(modules=[BoW(vocab=["one", "two"])], device="cpu")
    bag.save_pretrained(str(tmp_path / "bag"), create_model_card=False)
    problem = "model 'static': its first module is neither a plain text transformer nor a static embedding"
    with pytest.raises(ModelError, match=f"^{problem}$"):
        load(tmp_path / "bag")
