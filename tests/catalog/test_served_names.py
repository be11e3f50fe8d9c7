"""Names of models at servers, in folders and in other repositories: which entry they mean, and that others mean none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench import catalog
from pytest_embedbench.catalog.served_names import hub_cache_id
from pytest_embedbench.models.spec import ModelSpec

MODELS = catalog.models()
COMMIT = "5c38ec7c405ec4b44b94cc5a9bb96e735b38267a"

SERVED = {
    "minilm": (
        "all-minilm", "all-minilm:latest", "all-minilm:22m", "all-minilm:l6-v2", "all-minilm:22m-l6-v2-fp16",
        "sentence-transformers/all-MiniLM-L6-v2", "Xenova/all-MiniLM-L6-v2", "Qdrant/all-MiniLM-L6-v2-onnx",
        "all-MiniLM-L6-v2-Q8_0.gguf",
        "all-minilm-l6-v2", "minilm",
    ),
    "qwen3-8b": (
        "qwen3-embedding", "qwen3-embedding:latest", "qwen3-embedding:8b", "qwen3-embedding:8b-q4_K_M",
        "qwen3-embedding:8b-fp16", "ollama/qwen3-embedding:8b", "qwen/qwen3-embedding-8b", "Qwen/Qwen3-Embedding-8B-GGUF",
        "accounts/fireworks/models/qwen3-embedding-8b", "openrouter/qwen/qwen3-embedding-8b:nitro",
        "dengcao/Qwen3-Embedding-8B:Q5_K_M", "Qwen_Qwen3-Embedding-8B-GGUF", "Qwen3-Embedding-8B-AWQ",
        "mlx-community/Qwen3-Embedding-8B-4bit-DWQ", "RedHatAI/Qwen3-Embedding-8B-FP8-dynamic",
    ),
    "qwen3-4b": (
        "qwen3-embedding:4b", "boboliu/Qwen3-Embedding-4B-W4A16-G128", "qwen3-embedding-4b", "Qwen3-Embedding-4B-Q6_K_L",
    ),
    "qwen3-0.6b": (
        "qwen3-embedding:0.6b", "ai/qwen3-embedding:0.6B-F16", "hf.co/Qwen/Qwen3-Embedding-0.6B-GGUF:Q8_0",
        "/models/Qwen3-Embedding-0.6B-f16.gguf", "@cf/qwen/qwen3-embedding-0.6b", "qwen3-embedding-0-6b",
        "text-embedding-qwen3-embedding-0.6b", "C:\\models\\Qwen3-Embedding-0.6B",
    ),
    "bge-small": (
        "BAAI/bge-small-en-v1.5", "michaelfeil/bge-small-en-v1.5", "Qdrant/bge-small-en-v1.5-onnx-Q", "bge-small-en-v1-5",
        "bge-small-en-v1.5-q4_k_m.gguf",
    ),
    "bge-base": ("@cf/baai/bge-base-en-v1.5", "together_ai/BAAI/bge-base-en-v1.5", "bge-base-en-v1.5-int8"),
    "bge-large": ("bge-large", "bge-large:335m", "bge-large:335m-en-v1.5-fp16", "CompendiumLabs/bge-large-en-v1.5-gguf"),
    "bge-m3": (
        "bge-m3", "bge-m3:latest", "bge-m3:567m", "bge-m3:567m-fp16", "Pro/BAAI/bge-m3", "gpahal/bge-m3-onnx-int8",
        "BAAI__bge-m3", "baai--bge-m3", "bge-m3-Q4_K_M.gguf", "text-embedding-bge-m3@q8_0",
    ),
    "multilingual-e5-large": ("intfloat/multilingual-e5-large", "qdrant/multilingual-e5-large-onnx"),
    "nomic-v1.5": (
        "nomic-embed-text", "nomic-embed-text:latest", "nomic-embed-text:v1.5", "nomic-embed-text:137m-v1.5-fp16",
        "text-embedding-nomic-embed-text-v1.5", "text-embedding-nomic-embed-text-v1.5@q4_k_m",
        "nomic-embed-text-v1.5.Q4_K_M.gguf", "nomic-ai/nomic-embed-text-v1.5-GGUF", "ai/nomic-embed-text-v1.5:latest",
    ),
    "embeddinggemma": (
        "embeddinggemma", "embeddinggemma:300m", "embeddinggemma:300m-qat-q4_0", "ggml-org/embeddinggemma-300M-GGUF",
        "embeddinggemma-300m-qat-q8_0-unquantized", "unsloth/embeddinggemma-300m-GGUF:UD-Q4_K_XL",
    ),
    "openai-3-small": ("text-embedding-3-small", "openai/text-embedding-3-small", "azure/text-embedding-3-small"),
    "voyage-3.5-lite": ("voyage-3.5-lite", "voyage/voyage-3.5-lite"),
    "voyage-4": ("voyage-4", "voyage/voyage-4"),
    "cohere-v4": ("embed-v4.0", "bedrock/cohere.embed-v4:0", "cohere/embed-v4.0"),
    "cohere-english-v3": ("cohere.embed-english-v3", "embed-english-v3.0"),
    "gemini-embedding-001": ("models/gemini-embedding-001", "gemini/gemini-embedding-001"),
}  # fmt: skip

OTHERS = (
    "all-minilm:33m", "all-minilm:l12-v2", "all-minilm:33m-l12-v2-fp16", "all-MiniLM-L12-v2", "all-MiniLM-L6-v1",
    "paraphrase-MiniLM-L6-v2", "multi-qa-MiniLM-L6-cos-v1", "Qwen/Qwen3-8B", "qwen3:8b", "Qwen3-8B", "qwen3-0.6b",
    "qwen3-reranker:8b", "Qwen3-VL-Embedding-8B", "qwen3-embedding:14b", "qwen3-embedding:my-finetune",
    "bge-m3-retromae", "bge-m3-unsupervised", "BAAI/bge-m3-multi", "bge-reranker-v2-m3", "bge-m3:retrained",
    "bge-small-en", "bge-small-zh-v1.5", "bge-large-zh-v1.5", "bge-large:335m-zh-v1.5", "bge-multilingual-gemma2",
    "multilingual-e5-large-instruct", "e5-large", "e5-base-v2", "nomic-embed-text-v1", "nomic-embed-text-v2-moe",
    "nomic-embed-code", "modernbert-embed-base", "gte-modernbert-base-v2", "gte-base-en-v1.5", "embeddinggemma:2b",
    "embeddinggemma-300m-medical", "gemma:2b", "jina-embeddings-v2-base-en", "jina-embeddings-v4-text-retrieval-GGUF",
    "jina-embeddings-v5-text-small-retrieval", "jina-embeddings-v5-text-nano", "text-embedding-ada-002",
    "text-embedding-004", "text-embedding-3", "voyage-3", "voyage-3-lite", "voyage-code-3", "voyage-4-nano",
    "embed-v4.0-light", "embed-english-light-v3.0", "cohere.embed-english-light-v3", "amazon.titan-embed-text-v2:0",
    "gemini-embedding-2-preview", "potion-base-2M", "potion-base-32M", "mxbai-embed-large", "snowflake-arctic-embed2",
    "granite-embedding:278m", "someone/minilm", "acme/potion", "minilm-finetuned", "my-bge-m3", "bge", "latest", "8b",
    "q8_0", "model", "/models", "", "/", ":", "@", "...",
)  # fmt: skip
"""Real names of other models, some of which begin like one of the catalogue's."""

WORDS = ("instruct", "v2", "large", "zh", "code", "finetuned", "retrieval", "reranker", "multi", "light", "32k", "moe")
NAMES = sorted({spec.hub.rpartition("/")[2] for spec in MODELS.values() if spec.hub})


def entry(model: str) -> str | None:
    found = catalog.entry_of(ModelSpec(kind="endpoint", url="http://127.0.0.1:9/v1", model=model))
    return next((alias for alias, spec in MODELS.items() if spec is found), None)


@pytest.mark.parametrize(("alias", "name"), [(alias, name) for alias, names in SERVED.items() for name in names])
def test_a_served_name_means_its_model(alias: str, name: str) -> None:
    assert entry(name) == alias


@pytest.mark.parametrize("name", OTHERS)
def test_the_name_of_another_model_means_none(name: str) -> None:
    assert entry(name) is None


@given(name=st.sampled_from(NAMES), word=st.sampled_from(WORDS), join=st.sampled_from("-_."))
def test_a_name_that_goes_on_is_another_models(name: str, word: str, join: str) -> None:
    assert entry(f"{name}{join}{word}") is None
    assert entry(f"{word}{join}{name}") is None


@given(
    name=st.sampled_from(NAMES),
    prefix=st.sampled_from(["", "openai/", "ollama/", "hf.co/someone/", "/srv/models/", "litellm_proxy/huggingface/"]),
    ending=st.sampled_from(
        ["", "-GGUF", "-q4_K_M", ".Q8_0.gguf", "-fp16", "-awq", "-onnx-int8", ":latest", ":Q4_0", "@f16"]
    ),
)
def test_prefixes_and_endings_leave_a_name_what_it_is(name: str, prefix: str, ending: str) -> None:
    assert entry(f"{prefix}{name}{ending}") == entry(name) is not None


@given(st.text(max_size=30))
def test_any_text_is_looked_up_without_an_error(name: str) -> None:
    assert entry(name) is None or name


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (f"/root/.cache/huggingface/hub/models--BAAI--bge-small-en-v1.5/snapshots/{COMMIT}", ("bge-small", COMMIT)),
        (f"models--BAAI--bge-small-en-v1.5/snapshots/{COMMIT}/onnx", ("bge-small", COMMIT)),
        ("/cache/models--Qwen--Qwen3-Embedding-0.6B", ("qwen3-0.6b", "")),
        ("/srv/models--someone--private/snapshots/abc", (None, "abc")),
        ("/srv/BAAI__bge-m3", ("bge-m3", None)),
        ("/srv/bge-m3-retromae", (None, None)),
        ("/srv/minilm", ("minilm", None)),
        ("/srv/qwen3-8b", (None, None)),
        ("/srv/minilm/checkpoint-200", (None, None)),
    ],
)
def test_a_folder_means_the_model_that_it_is_named_after(path: str, found: tuple[str | None, str | None]) -> None:
    known = catalog.entry_of(ModelSpec(path=path))
    assert next((alias for alias, spec in MODELS.items() if spec is known), None) == found[0]
    cached = hub_cache_id(path)
    assert (cached[1] if cached else None) == found[1]


def test_weights_and_a_providers_server_under_one_name_are_told_apart_by_the_address() -> None:
    api = MODELS["jina-v3-api"]
    assert catalog.entry_of(api) is api
    assert catalog.entry_of(ModelSpec(kind="endpoint", url=f"{api.url}/", model=api.model)) is api
    assert entry("jina-embeddings-v3") == "jina-v3"
    assert all(catalog.entry_of(spec) is spec for spec in MODELS.values())
