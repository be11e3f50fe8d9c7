"""The software on which a model's vectors depend: libraries by their version, environment variables by their value.

Each kind of model depends on other libraries. Whatever is missing here is a library whose update leaves stored results
in use although the numbers change; whatever is too much lets an update discard results that still hold.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

import msgspec

from pytest_embedbench.core.decoding import DecodingError, decode_json
from pytest_embedbench.core.files import files_below
from pytest_embedbench.machine.environment import installed, numeric_variables
from pytest_embedbench.models.imported_code import imports
from pytest_embedbench.models.references import module_code
from pytest_embedbench.models.spec import ModelSpec

OURS = "pytest-embedbench"

CHECKPOINT_LIBRARIES = ("torch", "transformers", "tokenizers", "sentence-transformers", "flash-attn", "kernels")
"""Libraries that tokenize for a checkpoint and run it, as far as they are installed."""

BACKEND_LIBRARIES = {
    "onnx": (
        "onnxruntime",
        "onnxruntime-gpu",
        "onnxruntime-openvino",
        "onnxruntime-directml",
        "optimum",
        "optimum-onnx",
    ),
    "openvino": ("openvino", "optimum", "optimum-intel", "nncf"),
}
"""Backend -> libraries that run the model in place of torch."""

ADAPTER_LIBRARIES = ("peft",)

QUANTIZATION_LIBRARIES = (
    "bitsandbytes", "torchao", "gptqmodel", "auto-gptq", "autoawq", "hqq", "optimum-quanto", "compressed-tensors",
)  # fmt: skip
"""Libraries that compute with quantized weights, for checkpoints with a ``quantization_config``."""

TOKENIZER_LIBRARIES = (
    "sentencepiece", "tiktoken", "protobuf", "sacremoses", "ftfy", "spacy", "emoji", "jieba", "rjieba", "nltk",
    "fugashi", "ipadic", "unidic", "unidic-lite", "sudachipy", "sudachidict-core", "pythainlp", "phonemizer",
)  # fmt: skip
"""Libraries of transformers' slow tokenizers, for checkpoints without a ``tokenizer.json``."""

BM25_LIBRARIES = ("bm25s", "PyStemmer", "scipy", "numba", "jax", "jaxlib")
"""Libraries that stem, weigh and rank for BM25; bm25s uses the last two where they are installed."""


def checkpoint_software(spec: ModelSpec, folder: Path) -> dict[str, str]:
    """Return what decides the vectors of a checkpoint beside its files."""
    names = [*CHECKPOINT_LIBRARIES, *BACKEND_LIBRARIES.get(spec.backend, ())]
    if next(files_below(folder, ["adapter_config.json"]), None):
        names += ADAPTER_LIBRARIES
    if any("quantization_config" in _keys(file) for file in files_below(folder, ["config.json"])):
        names += QUANTIZATION_LIBRARIES
    if not next(files_below(folder, ["tokenizer.json"]), None):
        names += TOKENIZER_LIBRARIES
    names += distributions(module_code(folder).libraries - {"sentence_transformers"})
    if spec.trust_remote_code:
        names += distributions(imported_modules(files_below(folder, ["*.py"])))
    return software(names, numeric=True)


def software(names: Iterable[str], *, numeric: bool = False) -> dict[str, str]:
    """Return the versions of those of these libraries that are installed, and of this package.

    Args:
        names: names of distributions.
        numeric: whether the environment variables that change a network's arithmetic count too.
    """
    return {**installed([OURS, *names]), **(numeric_variables() if numeric else {})}


def distributions(modules: Iterable[str]) -> list[str]:
    """Return the names of the distributions that top-level modules come from; none for other modules."""
    modules = set(modules)
    # Read only if need be: the table has every file of every installed distribution.
    by_module = packages_distributions() if modules else {}
    return sorted({name for module in modules for name in by_module.get(module, ())})


def imported_modules(files: Iterable[Path]) -> set[str]:
    """Return the top-level modules that files import anywhere, without those of the standard library."""
    return {name.partition(".")[0] for file in files for name in imports(file)} - set(sys.stdlib_module_names)


def _keys(file: Path) -> Iterable[str]:
    try:
        return decode_json(file.read_bytes(), dict[str, msgspec.Raw])
    except (OSError, DecodingError):
        return ()
