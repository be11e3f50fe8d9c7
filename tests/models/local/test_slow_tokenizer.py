"""Tokenizers that transformers writes in Python: they know no offsets, and texts still get their prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.spec import ModelSpec, NamedModel

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz:.図書館日本語"]
TEXTS = ["図書館 hello", "", "日本語 whales", "abc" * 50]
PROMPT = "ask: "


@pytest.fixture(scope="module")
def japanese(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a transformer alone: a tiny BERT with Japanese BERT's tokenizer, which takes a character for a token."""
    from transformers import BertConfig, BertModel
    from transformers.models.bert_japanese.tokenization_bert_japanese import BertJapaneseTokenizer

    folder = tmp_path_factory.mktemp("japanese") / "model"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join([*WORDS, ""]), encoding="utf-8")
    make: Any = BertJapaneseTokenizer  # untyped
    tokenizer = make(
        str(folder / "vocab.txt"),
        word_tokenizer_type="basic",
        subword_tokenizer_type="character",
        model_max_length=64,
    )
    assert not tokenizer.is_fast
    tokenizer.save_pretrained(folder)
    torch.manual_seed(2)
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    BertModel(BertConfig(**sizes, vocab_size=64, max_position_embeddings=64)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("saved_by", ["transformers", "sentence-transformers", "prompt left out"])
def test_vectors_are_sentence_transformers_own(japanese: Path, saved_by: str, tmp_path: Path) -> None:
    folder, pooling = japanese, Pooling(32, "mean", include_prompt=saved_by != "prompt left out")
    theirs = SentenceTransformer(modules=[Transformer(str(folder)), pooling, Normalize()], device="cpu")
    if saved_by == "transformers":
        theirs = SentenceTransformer(str(folder), device="cpu")
    else:
        folder = tmp_path / "saved"
        theirs.save_pretrained(str(folder), create_model_card=False)
    named = NamedModel(alias="m", spec=ModelSpec(path=str(folder), query_prompt=PROMPT))
    ours = SentenceTransformerModel(named, folder, device="cpu", dtype="fp32")
    found = ours.forward(prepared := ours.prepare(TEXTS, "query"), "query")
    np.testing.assert_allclose(found, theirs.encode(TEXTS, prompt=PROMPT), atol=1e-5)
    np.testing.assert_allclose(
        ours.forward(ours.prepare(TEXTS, "document"), "document"), theirs.encode(TEXTS), atol=1e-5
    )
    # The prompt's tokens are a, s, k and a colon; the last text is cut at 64 tokens, two of them special.
    assert [(text.length, text.own_tokens) for text in prepared] == [(14, 8), (6, 0), (15, 9), (64, 58)]
