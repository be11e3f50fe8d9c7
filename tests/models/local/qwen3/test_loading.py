"""Number format and length: the checkpoint's own where that is sensible, and a notice where it is not taken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.models.load import default_dtype, load_model
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from tests.support.qwen3_checkpoint import write_json

if TYPE_CHECKING:
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from tests.models.local.qwen3.conftest import Load

CUT = "texts are cut at 8,192 tokens, the model takes 32,768; max_seq_length sets another limit"


def named(folder: Path) -> NamedModel:
    return NamedModel(alias="qwen", spec=ModelSpec(path=str(folder)))


@pytest.fixture
def copy(qwen3_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the model's folder, to be changed."""
    return shutil.copytree(qwen3_folder, tmp_path / "copy")


def test_on_a_cpu_weights_are_fp32_and_a_notice_names_format_and_size(qwen3_folder: Path) -> None:
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel

    model = named(qwen3_folder)
    dtype = default_dtype(model, "cpu")
    assert dtype == "fp32"
    loaded = load_model(model, device="cpu", dtype=dtype)
    assert isinstance(loaded, SentenceTransformerModel)
    assert {str(parameter.dtype) for parameter in loaded._network.parameters()} == {"torch.float32"}
    notice, cut = loaded.facts.notices
    assert notice.startswith("its weights are bf16 and are loaded as fp32 (0.0 GB)")
    assert notice.endswith("--embed-dtype=bf16 keeps them")
    assert cut == CUT


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_a_chosen_format_is_the_one_of_all_weights(qwen3_folder: Path, load: Load, dtype: str) -> None:
    model = load(qwen3_folder, dtype=dtype)
    wanted = {"bf16": "torch.bfloat16", "fp16": "torch.float16"}[dtype]
    assert {str(parameter.dtype) for parameter in model._network.parameters()} == {wanted}
    assert model.facts.dtype == dtype
    assert model.facts.notices == (CUT,)


def test_on_a_gpu_the_format_is_the_checkpoints(qwen3_folder: Path, copy: Path) -> None:
    assert [default_dtype(named(qwen3_folder), device) for device in ("cuda", "cuda:1", "mps")] == ["bf16"] * 3
    config = json.loads((copy / "config.json").read_text("utf-8"))
    for own, expected in (("float32", "fp32"), ("float16", "fp16"), (None, "fp32")):
        write_json(copy / "config.json", {**config, "dtype": own})
        assert default_dtype(named(copy), "cuda") == expected
    del config["dtype"]
    write_json(copy / "config.json", {**config, "torch_dtype": "bfloat16"})  # as transformers 4 wrote it
    assert default_dtype(named(copy), "cuda") == "bf16"


def test_very_long_texts_are_cut_and_the_definition_says_where(
    qwen3: SentenceTransformerModel, qwen3_folder: Path, load: Load
) -> None:
    longer = load(qwen3_folder, max_seq_length=9000)
    assert CUT in qwen3.facts.notices
    assert CUT not in longer.facts.notices
    for model, length in ((qwen3, 8192), (longer, 9000)):
        assert model.facts.max_tokens == length
        (prepared,) = model.prepare(["word " * 10_000], "document")
        assert (prepared.length, prepared.payload[-1]) == (length, 151643)


def test_a_checkpoint_that_takes_less_is_left_as_it_is(copy: Path, load: Load) -> None:
    config = json.loads((copy / "config.json").read_text("utf-8"))
    write_json(copy / "config.json", {**config, "max_position_embeddings": 512})
    model = load(copy, dtype="bf16")
    assert (model.facts.max_tokens, model.facts.notices) == (512, ())
