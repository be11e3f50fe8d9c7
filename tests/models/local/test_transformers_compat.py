"""Names of transformers that are not public: here as long as it has them, and what happens without each."""

from __future__ import annotations

from types import SimpleNamespace

from transformers import AutoConfig, AutoModel

from pytest_embedbench.models.fast.packed import can_pack
from pytest_embedbench.models.local.transformers_compat import attention_kernel

SIZES = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 8, "vocab_size": 9}


def test_a_models_configuration_names_its_kernel() -> None:
    model = AutoModel.from_config(AutoConfig.for_model("bert", **SIZES))  # type: ignore[no-untyped-call]
    assert attention_kernel(model.config) == "sdpa", "transformers renamed it: see models/local/transformers_compat"
    model.set_attn_implementation("eager")
    assert attention_kernel(model.config) == "eager"


def test_without_the_name_batches_are_padded() -> None:
    model = AutoModel.from_config(AutoConfig.for_model("bert", **SIZES))  # type: ignore[no-untyped-call]
    assert can_pack(model)
    model.config = SimpleNamespace(model_type="bert")
    assert attention_kernel(model.config) == ""
    assert not can_pack(model)
