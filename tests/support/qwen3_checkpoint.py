"""A small Qwen3-Embedding with random weights: the real one's modules, files, vocabulary and number format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import Qwen3Config

INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
PROMPT = f"Instruct: {INSTRUCTION}\nQuery:"
VOCABULARY = 151669
"""Rows of the embedding table of Qwen3-Embedding-0.6B."""

DIMENSIONS = 32
MODULES = ("Transformer", "Pooling", "Normalize")
POOLING = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")


def build(folder: Path, tokenizer: Tokenizer) -> Path:
    """Write the model's folder, as sentence-transformers reads it.

    Heads are wider than their share of the hidden size, two heads share keys and values, queries and keys are
    normalized, as in the real one; layers are 3, and hidden size and heads small.
    """
    from safetensors.torch import save_file
    from transformers import Qwen3Config

    config = Qwen3Config(
        architectures=["Qwen3ForCausalLM"],
        vocab_size=VOCABULARY,
        hidden_size=DIMENSIONS,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=32768,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=True,
        bos_token_id=151643,
        eos_token_id=151643,
        dtype="bfloat16",
    )
    folder.mkdir(parents=True)
    config.save_pretrained(folder)
    save_file(weights(config), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "Qwen2Tokenizer",
            "model_max_length": 131072,
            "padding_side": "left",
            "pad_token": "<|endoftext|>",
            "eos_token": "<|im_end|>",
            "bos_token": None,
            "unk_token": None,
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
        },
    )
    places = ["", *(f"{number}_{module}" for number, module in enumerate(MODULES) if number)]
    kinds = [f"sentence_transformers.models.{module}" for module in MODULES]
    write_json(
        folder / "modules.json",
        [
            {"idx": number, "name": str(number), "path": path, "type": kind}
            for number, (path, kind) in enumerate(zip(places, kinds, strict=True))
        ],
    )
    pool(folder, "lasttoken")
    prompt(folder, PROMPT)
    return folder


def weights(config: Qwen3Config) -> dict[str, torch.Tensor]:
    """Return random weights, the same at every call.

    Their scale keeps values at order 1 through the layers, so that a vector depends on each of its tokens.
    """
    import torch
    from transformers import Qwen3Model

    generator = torch.Generator().manual_seed(20251126)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Qwen3Model(config).state_dict().items()}
    made = {}
    for name, shape in shapes.items():
        random = torch.randn(shape, generator=generator)
        if len(shape) == 1:
            random = 1 + random / 10
        elif not name.startswith("embed_tokens"):
            random /= shape[1] ** 0.5
        made[name] = random.to(torch.bfloat16)
    return made


def pool(folder: Path, mode: str) -> None:
    """Write the pooling's configuration in the layout of the published checkpoints."""
    modes = {f"pooling_mode_{name}": name == mode for name in POOLING}
    write_json(
        folder / "1_Pooling" / "config.json", {"word_embedding_dimension": DIMENSIONS, **modes, "include_prompt": True}
    )


def prompt(folder: Path, query: str) -> None:
    """Write which prompts the checkpoint declares."""
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "prompts": {"query": query, "document": ""},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    )


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
