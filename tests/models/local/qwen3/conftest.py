"""The small Qwen3-Embedding loaded, and what its vectors must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from tests.models.local.qwen3.plain import PlainQwen3

    Load = Callable[..., SentenceTransformerModel]


@pytest.fixture(scope="session")
def load() -> Load:
    """Return a function that loads a folder; further keys are of the model's definition."""
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from pytest_embedbench.models.spec import ModelSpec, NamedModel

    def load(folder: Path, *, dtype: str = "fp32", packed: bool = True, **spec: Any) -> SentenceTransformerModel:
        named = NamedModel(alias="qwen", spec=ModelSpec(path=str(folder), **spec))
        return SentenceTransformerModel(named, folder, device="cpu", dtype=dtype, packed=packed)

    return load


@pytest.fixture(scope="session")
def qwen3(qwen3_folder: Path, load: Load) -> SentenceTransformerModel:
    """Return the model in fp32, with the prompts that it declares."""
    return load(qwen3_folder)


@pytest.fixture(scope="session")
def plain(qwen3_folder: Path, qwen_tokens: Any) -> PlainQwen3:
    """Return the model run plainly, in fp32."""
    from tests.models.local.qwen3.plain import PlainQwen3

    return PlainQwen3(qwen3_folder, qwen_tokens)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors need no second thread, and on a busy machine threads wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
