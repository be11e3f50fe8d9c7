"""The least work that encoding a corpus takes: floating-point operations of a BERT encoder, by its configuration."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Shape(NamedTuple):
    """An encoder's layers, its width h, and the width f between its two feed-forward matrices."""

    layers: int
    hidden: int
    intermediate: int


def read_shape(model: Path) -> Shape:
    config = json.loads((model / "config.json").read_text("utf-8"))
    return Shape(config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"])


def token_counts(model: Path, texts: list[str]) -> list[int]:
    """Return the tokens of each text as the model sees it: with special tokens, cut at its limit, without padding."""
    from tokenizers import Tokenizer

    settings = json.loads((model / "sentence_bert_config.json").read_text("utf-8"))
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.enable_truncation(settings["max_seq_length"])
    tokenizer.no_padding()
    return [len(encoding.ids) for encoding in tokenizer.encode_batch(texts)]


def operations(shape: Shape, lengths: Iterable[int]) -> float:
    """Return the number of multiplications and additions without padding.

    For each token and layer four h x h matrices (query, key, value, output) and two of h x f, two operations an entry:
    2 (4 h^2 + 2 h f); and against each of its text's L tokens an inner product and a weighted sum of width h: 4 L h.
    Norms, activations and pooling are left out.
    """
    h, f = shape.hidden, shape.intermediate
    return float(sum(shape.layers * length * (2 * (4 * h * h + 2 * h * f) + 4 * length * h) for length in lengths))
