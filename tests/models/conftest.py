"""Checkpoints to be changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copy(minilm_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of MiniLM's folder."""
    return Path(shutil.copytree(minilm_folder, tmp_path / "copy"))


def change(file: Path, **values: object) -> None:
    """Change values of a file of JSON, which may not be there yet."""
    found = json.loads(file.read_text("utf-8")) if file.exists() else {}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({**found, **values}), "utf-8")


@pytest.fixture(scope="session")
def tiny_folder(minilm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a transformer alone: BERT with two layers of 32 dimensions, random weights and MiniLM's tokenizer."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    torch.manual_seed(5)
    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        vocab_size=30522,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(minilm_folder).save_pretrained(folder)
    return folder
