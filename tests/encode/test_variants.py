"""Variants of a model: vectors cut and quantized as sentence-transformers does it, whatever the batches."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from pytest_embedbench.core.measures import Measure
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import BUILTIN, DatasetSpec, NamedDataset
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.encode import vector_form as form_module
from pytest_embedbench.encode.batch_budget import Budget
from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.encode.variant_encoder import describe_variant, variant_encoder
from pytest_embedbench.encode.vector_form import VectorForm, calibration_documents, fit_form
from pytest_embedbench.errors import ModelError
from pytest_embedbench.evaluate.dense import Encoding
from pytest_embedbench.evaluate.evaluation import evaluate
from pytest_embedbench.evaluate.metrics import means
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.protocol import Encoder, ModelFacts, PreparedText
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.models.variants import FULL_VECTORS, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors

INT8 = Variant(precision="int8")
BINARY = Variant(precision="binary")


TEXTS = [f"{subject} {verb}" for subject in ("whales", "the tea", "a castle", "") for verb in ("sings", "burns", "is")]


def vectors(rows: int = 400, dimensions: int = 24, *, normalized: bool = True, seed: int = 1) -> Vectors:
    actual = np.random.default_rng(seed).normal(0.1, 1, (rows, dimensions)).astype(np.float32)
    return actual / np.linalg.norm(actual, axis=1, keepdims=True) if normalized else actual


@pytest.fixture(scope="module")
def reference(minilm_folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(minilm_folder), device="cpu", truncate_dim=128)


def test_a_cut_vector_is_sentence_transformers_own(minilm: SentenceTransformerModel, reference: Any) -> None:
    actual = encode(minilm, TEXTS, "document", batch_tokens=64, progress=SilentProgress())
    cut = fit_form(Variant(dimensions=128), minilm.facts, pytest.fail)(actual.vectors)[actual.indices]
    np.testing.assert_allclose(cut, reference.encode(TEXTS, normalize_embeddings=True), atol=1e-6)
    assert cut.shape == (len(TEXTS), 128)


def test_a_checkpoint_may_declare_its_cut_itself(minilm_folder: Path, tmp_path: Path, reference: Any) -> None:
    folder = Path(shutil.copytree(minilm_folder, tmp_path / "model"))
    path = folder / "config_sentence_transformers.json"
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(path.read_bytes()), "truncate_dim": 128}))
    named = NamedModel(alias="m", spec=ModelSpec(path=str(folder)))
    model = SentenceTransformerModel(named, folder, device="cpu", dtype="fp32")
    actual = encode(model, TEXTS, "document", batch_tokens=64, progress=SilentProgress())
    np.testing.assert_allclose(actual.vectors[actual.indices], reference.encode(TEXTS), atol=1e-6)
    assert (model.facts.dimensions, model.facts.normalized) == (128, False)


def test_vectors_that_were_not_of_length_1_are_cut_only() -> None:
    actual = vectors(normalized=False)
    cut = VectorForm(Variant(dimensions=5))(actual)
    assert np.array_equal(cut, actual[:, :5])
    assert VectorForm(FULL_VECTORS, normalized=True)(actual) is actual


def test_a_vector_cut_to_nothing_but_zeros_stays_one() -> None:
    actual = np.array([[0, 0, 1], [3, 4, 0]], np.float32)
    assert VectorForm(Variant(dimensions=2), normalized=True)(actual).tolist() == [
        [0, 0],
        [0.6000000238418579, 0.800000011920929],
    ]


def test_int8_has_sentence_transformers_codes_decoded_at_the_middle_of_their_step() -> None:
    from sentence_transformers.util.quantization import quantize_embeddings

    sample, actual = vectors(100, seed=2), vectors(seed=3)
    form = fit_form(INT8, ModelFacts(normalized=True), lambda: sample)
    assert form.ranges is not None
    assert np.array_equal(form.ranges, [sample.min(axis=0), sample.max(axis=0)])
    codes = np.asarray(quantize_embeddings(actual, "int8", calibration_embeddings=sample), np.float32) + 128
    step = (form.ranges[1] - form.ranges[0]) / 255
    assert np.array_equal(form(actual), form.ranges[0] + (codes + np.float32(0.5)) * step)
    inside = (actual >= form.ranges[0]) & (actual <= form.ranges[1])
    assert 0.9 < inside.mean() < 1, "the sample does not hold all extremes"
    assert np.abs(form(actual) - actual)[inside].max() <= step.max() * 0.5001
    assert len({float(value) for value in form(actual)[:, 0]}) > 100


def test_int8_of_a_dimension_that_never_changes_is_that_value() -> None:
    actual = np.array([[0.25, -1], [0.25, 1], [0.25, 0.3]], np.float32)
    form = fit_form(INT8, ModelFacts(), lambda: actual)
    assert form(actual)[:, 0].tolist() == [0.25] * 3
    assert form(np.array([[7, 0]], np.float32))[0, 0] == 0.25


def test_int8_of_cut_vectors_has_the_ranges_of_cut_vectors() -> None:
    actual = vectors()
    cut = VectorForm(Variant(dimensions=6), normalized=True)(actual)
    both = fit_form(Variant(dimensions=6, precision="int8"), ModelFacts(normalized=True), lambda: actual)
    one = fit_form(INT8, ModelFacts(), lambda: cut)
    assert np.array_equal(both(actual), one(cut))


def test_binary_orders_as_the_hamming_distance_of_sentence_transformers_bits() -> None:
    from sentence_transformers.util.quantization import quantize_embeddings

    actual = vectors(dimensions=21)
    actual[0, :3] = 0
    signs = VectorForm(BINARY, normalized=True)(actual)
    assert signs.dtype == np.float32
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert signs[0, :3].tolist() == [-1, -1, -1]
    bits = np.unpackbits(np.asarray(quantize_embeddings(actual, "ubinary")), axis=1)
    distance = (bits[:, None, :] != bits[None, :, :]).sum(axis=2)
    assert np.array_equal(signs @ signs.T, 21 - 2 * distance)


@pytest.mark.parametrize(
    "variant", [FULL_VECTORS, Variant(dimensions=7), INT8, BINARY, Variant(dimensions=7, precision="int8")], ids=str
)
def test_a_form_looks_at_each_vector_alone(variant: Variant) -> None:
    actual = vectors()
    form = fit_form(variant, ModelFacts(normalized=True), lambda: actual[:50])
    parts = [form(actual[start : start + size]) for start, size in ((0, 1), (1, 30), (31, 369))]
    assert np.array_equal(np.concatenate(parts), form(actual))
    assert np.array_equal(form(actual[::-1])[::-1], form(actual))
    assert form(actual[:0]).shape[0] == 0


def test_too_many_dimensions() -> None:
    with pytest.raises(ModelError, match="its vectors have 24 dimensions, so 25 of them cannot be kept"):
        VectorForm(Variant(dimensions=25))(vectors())


# The calibration sample


def test_a_small_corpus_is_its_own_sample() -> None:
    assert sorted(calibration_documents(["b", "a", "b", "c", "a"])) == [0, 1, 3]
    assert calibration_documents([]) == []


def test_the_sample_depends_on_which_documents_there_are_and_not_on_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(form_module, "CALIBRATION_DOCUMENTS", 20)
    texts = [f"document {n}" for n in range(200)] + ["\ud800 half a pair"]
    sample = {texts[index] for index in calibration_documents(texts)}
    assert len(sample) == 20
    shuffled = random.Random(1).sample(texts * 2, 402)
    assert {shuffled[index] for index in calibration_documents(shuffled)} == sample
    more = {index for index in calibration_documents([*texts, *(f"new {n}" for n in range(20))]) if index < 201}
    assert {texts[index] for index in more} <= sample
    assert max(int(text.split()[1]) for text in sample if text.startswith("document")) > 100, "not just the first ones"


# Evaluations


class Spread:
    """Model with vectors of length 1 that depend on the text alone."""

    facts = ModelFacts(dimensions=16, normalized=True)

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        return [PreparedText(text, len(text), len(text)) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        return np.concatenate([vectors(1, 16, seed=sum(map(ord, text.payload))) for text in batch])


def collection(order: int = 0) -> Dataset:
    ids = random.Random(order).sample(range(120), 120)
    return Dataset(
        name="n",
        split="test",
        doc_ids=[f"d{n}" for n in ids],
        doc_texts=[f"text {'x' * (n % 7)} {n}" for n in ids],
        query_ids=["q1", "q2"],
        query_texts=["first question", "another one"],
        qrels={"q1": {"d1": 1}, "q2": {"d2": 1}},
    )


@pytest.mark.parametrize(
    "variant", [INT8, BINARY, Variant(dimensions=5), Variant(dimensions=9, precision="int8")], ids=str
)
def test_neither_batches_nor_the_order_of_the_corpus_change_a_variant(
    variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(form_module, "CALIBRATION_DOCUMENTS", 40)
    result = [
        evaluate(
            Spread(), collection(order), [Measure("ndcg", 10)], variant=variant, encoding=Encoding(Budget(tokens))
        ).run
        for order, tokens in ((0, 1), (0, 100), (1, 100_000), (2, 333))
    ]
    plain = evaluate(Spread(), collection(), [Measure("ndcg", 10)]).run
    for run in result:
        for query in ("q1", "q2"):
            assert [doc for doc, _ in run[query]] == [doc for doc, _ in result[0][query]]
            assert [value for _, value in run[query]] == pytest.approx(
                [value for _, value in result[0][query]], abs=1e-6
            )
            assert run[query] != plain[query]


def test_equal_bits_are_ties_which_the_higher_id_wins() -> None:
    class Two(Spread):
        def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
            return np.array([[1, 0.001 * len(text.payload), -1] for text in batch], np.float32)

    data = collection()
    run = evaluate(Two(), data, [Measure("ndcg", 10)], variant=BINARY).run
    assert run["q1"] == [(doc, 1.0) for doc in sorted(data.doc_ids, reverse=True)[:100]]


def test_an_evaluation_keeps_its_form() -> None:
    data = collection()
    form = evaluate(Spread(), data, [Measure("ndcg", 10)], variant=INT8).form
    assert form is not None
    assert form.ranges is not None
    actual = Spread().forward(Spread().prepare(data.doc_texts, "document"), "document")
    assert np.array_equal(form.ranges, [actual.min(axis=0), actual.max(axis=0)])


def test_a_variant_can_be_served() -> None:
    form = VectorForm(Variant(dimensions=3, precision="binary"), normalized=True)
    facts = describe_variant(NamedModel(alias="m", spec=ModelSpec(dimensions_kept=3, precision="binary")), Spread.facts)
    served = variant_encoder(Spread(), form, facts)
    assert isinstance(served, Encoder)
    ready = served.prepare(["one", "two"], "query")
    assert np.array_equal(served.forward(ready, "query"), form(Spread().forward(ready, "query")))
    assert (served.facts.dimensions, served.facts.precision, served.facts.bytes_per_vector) == (3, "binary", 1)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (ModelSpec(), (384, "float32", 1536, True)),
        (ModelSpec(dimensions_kept=100), (100, "float32", 400, True)),
        (ModelSpec(precision="int8"), (384, "int8", 384, False)),
        (ModelSpec(precision="binary"), (384, "binary", 48, False)),
        (ModelSpec(dimensions_kept=100, precision="binary"), (100, "binary", 13, False)),
    ],
    ids=lambda value: str(value.variant) if isinstance(value, ModelSpec) else "",
)
def test_facts_are_the_variants(spec: ModelSpec, expected: tuple[int, str, int, bool]) -> None:
    facts = describe_variant(NamedModel(alias="m", spec=spec), ModelFacts(dimensions=384, normalized=True))
    assert (facts.dimensions, facts.precision, facts.bytes_per_vector, facts.normalized) == expected


def test_facts_of_what_makes_no_vectors_stay() -> None:
    facts = ModelFacts(architecture="BM25")
    assert describe_variant(NamedModel(alias="bm25", spec=ModelSpec(kind="bm25")), facts) == facts


def test_a_loaded_model_that_is_too_small_is_named() -> None:
    named = NamedModel(alias="m@dim=999", spec=ModelSpec(dimensions_kept=999))
    with pytest.raises(ModelError, match=r"^model 'm@dim=999': its vectors have 384 dimensions, so 999 of them cannot"):
        describe_variant(named, ModelFacts(dimensions=384))


class Memory:
    """Return a model's vectors, computed once."""

    def __init__(self, model: SentenceTransformerModel) -> None:
        self.model, self.facts = model, model.facts
        self.known: dict[tuple[str, str], Any] = {}

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        new = [text for text in texts if (role, text) not in self.known]
        actual = encode(self.model, new, role, batch_tokens=4096, progress=SilentProgress())
        self.known |= {(role, text): actual.vectors[row] for text, row in zip(new, actual.indices, strict=True)}
        return [PreparedText(text, 1, 1) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        return np.stack([self.known[role, text.payload] for text in batch])


def test_what_variants_of_minilm_lose_on_the_builtin_dataset(minilm: SentenceTransformerModel) -> None:
    data = load_dataset(NamedDataset(alias="builtin", spec=DatasetSpec(path=BUILTIN)))
    model, ndcg = Memory(minilm), Measure("ndcg", 10)

    def quality(variant: Variant) -> float:
        return means(evaluate(model, data, [ndcg], variant=variant).scores)["ndcg@10"]

    whole, cut = quality(FULL_VECTORS), quality(Variant(dimensions=128))
    assert quality(INT8) == pytest.approx(whole, abs=0.02)
    assert quality(Variant(dimensions=128, precision="int8")) == pytest.approx(cut, abs=0.02)
    assert 0.7 * whole < quality(BINARY) < whole
    assert 0.7 * whole < cut < whole
    assert 0.7 * whole < quality(Variant(dimensions=128, precision="binary")) < cut
