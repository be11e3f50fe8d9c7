"""Ordinary checkpoints run without sentence-transformers, and do precisely what it does; all others run with it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from pytest_embedbench.models.fast import packed
from pytest_embedbench.models.fast.attention import pack_row, spans
from pytest_embedbench.models.local import bert
from pytest_embedbench.models.local.library_network import LibraryNetwork
from pytest_embedbench.models.local.plain_checkpoint import plain_checkpoint
from pytest_embedbench.models.local.plain_network import PlainNetwork
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from tests.models.conftest import change

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.local.settings_cache import Memory, Ready
    from pytest_embedbench.models.protocol import Vectors

    Edit = Callable[[Path], object]

TEXTS = [
    "tea",
    "",
    "A volcano erupts when molten rock, ash and gas escape from a chamber below the crust.",
    "naïve café — 日本語のテキスト 🙂",
    "tea",
    "long " * 300,
    "Whales come up to the surface and breathe. " * 9,
]
PROMPT = "a passage, as it was found: "
MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small batches need no second thread, and on a busy machine threads wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Kept:
    """A memory."""

    def __init__(self) -> None:
        self._kept: dict[str, Ready] = {}

    def ready(self, name: str) -> Ready | None:
        return self._kept.get(name)

    def keep_ready(self, name: str, ready: Ready) -> None:
        self._kept[name] = ready


def load(folder: Path, *, dtype: str = "fp32", memory: Memory | None = None, **spec: Any) -> SentenceTransformerModel:
    named = NamedModel(alias="model", spec=ModelSpec(path=str(folder), **spec))
    return SentenceTransformerModel(named, folder, device="cpu", dtype=dtype, memory=memory)


def plain(folder: Path, **how: Any) -> SentenceTransformerModel:
    model = load(folder, **how)
    assert isinstance(model._network, PlainNetwork)
    return model


def in_library(monkeypatch: pytest.MonkeyPatch, folder: Path, **how: Any) -> SentenceTransformerModel:
    """The same as sentence-transformers runs it, batches without padding where they can be."""
    with monkeypatch.context() as patch:
        patch.setattr("pytest_embedbench.models.local.sentence_transformer.plain_network", lambda *_: None)
        model = load(folder, **how)
    assert isinstance(model._network, LibraryNetwork)
    return model


def reference(folder: Path, dtype: torch.dtype = torch.float32) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": dtype})


def vectors(model: SentenceTransformerModel, role: Role = "document", texts: Sequence[str] = TEXTS) -> Vectors:
    return model.forward(model.prepare(texts, role), role)


def pool(folder: Path, mode: object, **more: object) -> None:
    (folder / "1_Pooling" / "config.json").unlink()
    change(folder / "1_Pooling" / "config.json", word_embedding_dimension=384, pooling_mode=mode, **more)


def same(folder: Path, monkeypatch: pytest.MonkeyPatch, role: Role = "document", **how: Any) -> Vectors:
    """Our vectors, after all that a checkpoint's user can see was the same with sentence-transformers."""
    memory, theirs = Kept(), in_library(monkeypatch, folder, **how)
    # The second time its settings are remembered, where it is of a kind for which that saves anything.
    for ours in (plain(folder, memory=memory, **how), plain(folder, memory=memory, **how)):
        assert ours.facts == theirs.facts
        assert ours.prepare(TEXTS, role) == theirs.prepare(TEXTS, role)
        found = vectors(ours, role)
        np.testing.assert_array_equal(found, vectors(theirs, role))
    return found


# The same vectors


def test_minilm(minilm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = same(minilm_folder, monkeypatch)
    np.testing.assert_allclose(found, reference(minilm_folder).encode(TEXTS, batch_size=3), atol=1e-6)


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_minilm_in_16_bits(minilm_folder: Path, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    found = same(minilm_folder, monkeypatch, dtype=dtype)
    wide = {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    theirs = np.asarray(
        reference(minilm_folder, wide).encode(TEXTS, convert_to_numpy=False, convert_to_tensor=True).float()
    )
    assert (1 - (found * theirs).sum(axis=1) / np.linalg.norm(theirs, axis=1)).max() < 1e-3


def test_qwen3_with_the_prompts_that_it_declares(
    qwen3_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = reference(qwen3_folder)
    for role, prompt in (("query", theirs.prompts["query"]), ("document", None)):
        found = same(qwen3_folder, monkeypatch, role)  # type: ignore[arg-type]  # a role
        np.testing.assert_allclose(found, theirs.encode(TEXTS, prompt=prompt), atol=1e-5)


@pytest.mark.parametrize("mode", [list(MODES), ["mean"], "lasttoken"], ids=str)
@pytest.mark.parametrize("include", [True, False])
def test_every_pooling(copy: Path, monkeypatch: pytest.MonkeyPatch, mode: object, include: bool) -> None:
    pool(copy, mode, include_prompt=include)
    found = same(copy, monkeypatch, document_prompt=PROMPT)
    theirs = reference(copy)
    filled = [text for text in TEXTS if text]  # of an empty text behind a prompt nothing but [SEP] is left to pool
    ours = vectors(plain(copy, document_prompt=PROMPT), texts=filled)
    np.testing.assert_allclose(ours, theirs.encode(filled, prompt=PROMPT), atol=2e-6)
    assert found.shape == (len(TEXTS), 384 * (len(mode) if isinstance(mode, list) else 1))


def test_every_pooling_in_bf16(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool(copy, MODES)
    same(copy, monkeypatch, dtype="bf16")


@pytest.mark.parametrize("names", [("cls_token", "mean_tokens"), ("max_tokens",), ("lasttoken",), ()], ids=str)
def test_pooling_as_older_releases_wrote_it(
    copy: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    change(copy / "1_Pooling" / "config.json", pooling_mode_mean_tokens=False)
    change(copy / "1_Pooling" / "config.json", **{f"pooling_mode_{name}": True for name in names})
    same(copy, monkeypatch)


def test_a_checkpoint_that_the_installed_release_saved(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling

    torch.manual_seed(3)
    modules: list[torch.nn.Module] = [
        reference(copy)[0],
        Pooling(384, "cls"),
        Dense(384, 96),
        Dense(96, 64, bias=False, activation_function=torch.nn.GELU()),
        Normalize(),
    ]
    model = SentenceTransformer(modules=modules, device="cpu", prompts={"query": "q: ", "document": "d: "})
    model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    found = same(tmp_path / "saved", monkeypatch)
    np.testing.assert_allclose(found, model.encode(TEXTS, prompt="d: "), atol=1e-6)
    assert found.shape == (len(TEXTS), 64)
    same(tmp_path / "saved", monkeypatch, dtype="bf16")


def test_dimensions_that_the_checkpoint_cuts(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(
        copy / "config_sentence_transformers.json", truncate_dim=100, similarity_fn_name="dot", prompts={"query": "q"}
    )
    found = same(copy, monkeypatch)
    assert found.shape == (len(TEXTS), 100)
    np.testing.assert_allclose(found, reference(copy).encode(TEXTS), atol=1e-6)


@pytest.mark.parametrize("said", [{"max_seq_length": 16}, {"max_seq_length": None}, {}], ids=str)
@pytest.mark.parametrize("wanted", [None, 9])
def test_where_texts_are_cut(
    copy: Path, monkeypatch: pytest.MonkeyPatch, said: dict[str, object], wanted: int | None
) -> None:
    (copy / "sentence_bert_config.json").unlink()
    if said:
        change(copy / "sentence_bert_config.json", **said)
    change(copy / "tokenizer_config.json", model_max_length=100_000)
    same(copy, monkeypatch, max_seq_length=wanted)
    assert plain(copy, max_seq_length=wanted).facts.max_tokens == (wanted or said.get("max_seq_length") or 512)


def test_a_transformer_in_a_folder_of_its_own(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = copy / "0_Transformer"
    inner.mkdir()
    for file in [file for file in copy.iterdir() if file.is_file()]:
        if file.name not in {"modules.json", "config_sentence_transformers.json"}:
            file.rename(inner / file.name)
    modules = json.loads((copy / "modules.json").read_text("utf-8"))
    modules[0]["path"] = "0_Transformer"
    (copy / "modules.json").write_text(json.dumps(modules), "utf-8")
    same(copy, monkeypatch)


# What takes sentence-transformers


def edit_modules(folder: Path, place: int, **values: object) -> None:
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    modules[place] |= values
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")


UNKNOWN: dict[str, Edit] = {
    "an unknown setting": lambda folder: change(folder / "config_sentence_transformers.json", new=1),
    "a class of its own": lambda folder: edit_modules(folder, 1, type="custom_pooling.Pooling"),
    "another of its classes": lambda folder: edit_modules(folder, 2, type="sentence_transformers.models.LayerNorm"),
    "arguments of a module": lambda folder: edit_modules(folder, 0, kwargs=["task"]),
    "a module elsewhere": lambda folder: edit_modules(folder, 1, path="../elsewhere"),
    "lower case": lambda folder: change(folder / "sentence_bert_config.json", do_lower_case=True),
    "settings of tokens": lambda folder: change(folder / "sentence_bert_config.json", tokenizer_args={"a": 1}),
    "chat templates": lambda folder: change(folder / "sentence_bert_config.json", modality_config={"message": {}}),
    "an older name": lambda folder: change(folder / "sentence_roberta_config.json", max_seq_length=64),
    "unknown pooling": lambda folder: pool(folder, "median"),
    "no pooling at all": lambda folder: pool(folder, []),
    "normalized tokens": lambda folder: change(folder / "2_Normalize" / "config.json", module_input_name="tokens"),
    "an adapter": lambda folder: change(folder / "adapter_config.json", peft_type="LORA"),
    "input of two kinds": lambda folder: change(folder / "preprocessor_config.json", size=224),
    "a processor": lambda folder: change(folder / "tokenizer_config.json", processor_class="CLIPProcessor"),
    "its own code": lambda folder: change(folder / "config.json", auto_map={"AutoModel": "modeling.Model"}),
    "another family": lambda folder: change(folder / "config_sentence_transformers.json", model_type="SparseEncoder"),
    "requirements": lambda folder: change(folder / "config_sentence_transformers.json", requirements={"a": ">1"}),
    "an unknown default": lambda folder: change(folder / "config_sentence_transformers.json", default_prompt_name="a"),
    "no JSON": lambda folder: (folder / "1_Pooling" / "config.json").write_text("{", "utf-8"),
    "no modules": lambda folder: (folder / "modules.json").unlink(),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_not_known_here_is_not_plain(copy: Path, what: str) -> None:
    assert plain_checkpoint(copy) is not None
    UNKNOWN[what](copy)
    assert plain_checkpoint(copy) is None


def in_it(model: SentenceTransformerModel) -> SentenceTransformerModel:
    assert isinstance(model._network, LibraryNetwork)
    return model


def test_it_loads_them(copy: Path, minilm_folder: Path) -> None:
    UNKNOWN["lower case"](copy)
    model = in_it(load(copy))
    np.testing.assert_allclose(vectors(model), vectors(plain(minilm_folder)), atol=1e-6)
    assert model.facts == plain(minilm_folder).facts


def test_code_that_is_trusted_takes_it(minilm_folder: Path) -> None:
    in_it(load(minilm_folder, trust_remote_code=True))


def test_attention_to_a_neighbourhood_takes_it(
    qwen3_folder: Path,
    tmp_path: Path,
) -> None:
    folder = Path(shutil.copytree(qwen3_folder, tmp_path / "sliding"))
    layers = ["sliding_attention"] * 3
    change(folder / "config.json", use_sliding_window=True, sliding_window=8, layer_types=layers, max_window_layers=0)
    model = in_it(load(folder))
    assert model.facts.attention == "sdpa"
    np.testing.assert_allclose(vectors(model), reference(folder).encode(TEXTS), atol=1e-5)


def test_vectors_that_are_not_those_of_texts_alone_take_it(
    minilm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = vectors(plain(minilm_folder))
    monkeypatch.setattr(bert, "spans", lambda lengths: spans([sum(lengths)]))
    monkeypatch.setattr(packed, "pack_row", lambda lengths: pack_row([sum(lengths)]))
    model = in_it(load(minilm_folder))
    assert model.facts.attention == "sdpa"
    np.testing.assert_allclose(vectors(model), right, atol=1e-6)


# Imports

SCRIPT = """
import sys
from pathlib import Path
from pytest_embedbench.models.load import load_model
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.engine.tuning import Tuning

named, memory = NamedModel(alias="m", spec=ModelSpec(path=sys.argv[1])), Tuning(Path(sys.argv[2]))
model = load_model(named, device="cpu", dtype="fp32", memory=memory)
model.forward(model.prepare(["one text"], "query"), "query")
print(sorted(set(sys.argv[3:]) & set(sys.modules)))
"""


FOR_TRAINING = ["sentence_transformers", "sklearn", "datasets", "pandas", "pyarrow", "torchvision"]
OF_MODELS = ["transformers.modeling_utils", "torch._dynamo", "torch.distributed.tensor", "sympy", "scipy"]


@pytest.mark.parametrize(
    ("model", "without"), [("minilm_folder", FOR_TRAINING + OF_MODELS), ("qwen3_folder", FOR_TRAINING)]
)
def test_what_only_training_needs_is_not_imported(
    request: pytest.FixtureRequest, tmp_path: Path, model: str, without: list[str]
) -> None:
    assert imported(request.getfixturevalue(model), tmp_path, without) == "[]"


def test_of_bert_nothing_of_transformers_is_when_its_settings_were_read_before(
    minilm_folder: Path, tmp_path: Path
) -> None:
    assert imported(minilm_folder, tmp_path / "cache", ["transformers"]) == "['transformers']"
    assert imported(minilm_folder, tmp_path / "cache", ["transformers", "huggingface_hub"]) == "[]"


def imported(folder: Path, cache: Path, names: Sequence[str]) -> str:
    command = [sys.executable, "-c", SCRIPT, str(folder), str(cache), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
