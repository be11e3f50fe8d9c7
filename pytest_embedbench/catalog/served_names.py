"""Names under which servers, folders and other repositories hold a model of the catalogue.

``qwen3-embedding:8b`` (Ollama), ``openai/text-embedding-3-small`` (gateways), ``hf.co/BAAI/bge-m3-GGUF:Q8_0``,
``Qwen3-Embedding-0.6B-Q8_0.gguf`` (llama.cpp), ``text-embedding-nomic-embed-text-v1.5`` (LM Studio), ``BAAI__bge-m3``
(folders), ``models--BAAI--bge-m3/snapshots/<hash>`` (the Hub's cache). Only a name's form is used, and what is left of
it must be a whole name: ``bge-m3-retromae`` is not ``bge-m3``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import NamedTuple

HUB_CACHE_FOLDER = re.compile(r"models--(?P<org>[^/]+?)--(?P<name>[^/]+)")
"""Folder of a repository in the Hub's cache."""

LIBRARY_NAMES = {
    "all-minilm": "all-minilm-l6-v2",
    "bge-large": "bge-large-en-v1.5",
    "embeddinggemma": "embeddinggemma-300m",
    "nomic-embed-text": "nomic-embed-text-v1.5",
    "embed-english-v3": "embed-english-v3.0",
    "embed-multilingual-v3": "embed-multilingual-v3.0",
}
"""Names without version or size: those of Ollama's library (ollama.com/library, each with its ``latest``), and those of
Cohere's models on Bedrock."""

LATEST_SIZES = {"qwen3-embedding": "qwen3-embedding-8b"}
"""Names in Ollama's library whose tags are sizes -> the model without a tag."""

ROUTING_TAGS = {"latest", "default", "main", "free", "nitro", "floor", "exacto"}
"""Tags that say which copy or price is meant, not which model."""

_ENDING = re.compile(
    r"-(?:gguf|ggml(?:-model)?|onnx|openvino|ov|mlx|coreml|tflite|safetensors|pytorch|ct2|awq|gptq|marlin|exl[23]|autoround|bnb|dwq"
    r"|b?f16|fp?(?:4|8|16|32)|float(?:16|32)|half|u?int(?:4|8)|i8|nf4|nvfp4|mxfp[468]|[2-8]-?bits?|w\d+a\d+|g\d{2,3}"
    r"|q[2-8](?:-[k01])?(?:-(?:xxs|xs|s|m|l|xl))?|iq[1-4](?:-(?:xxs|xs|s|m|nl))?|q|qat|quant|quantized|unquantized|qint8"
    r"|qdq|dynamic|ud|imatrix|i1|optimized|o[1-4]|avx2|avx512|vnni|arm64|\d{5}-of-\d{5})$"
)
"""Endings for file and number formats; separators are hyphens."""

_SIZE = re.compile(r"(\d+(?:-\d+)?)([mb])")
_WEIGHTS = re.compile(r"\.(?:gguf|onnx|safetensors|bin)$")

SIZE_TOLERANCE = 0.12
"""Share by which a size in a name may differ from the number of parameters: Qwen3-Embedding-8B has 7.57 billion."""


class Candidate(NamedTuple):
    """A name that a model may have in the catalogue, in the form of ``plain``."""

    name: str
    parameters: float | None = None
    """Number of parameters by a size that was taken off the name; None without one."""

    def fits(self, parameters: int | None) -> bool:
        """Whether a model with this many parameters may be meant."""
        if self.parameters is None or parameters is None:
            return True
        return abs(self.parameters - parameters) <= SIZE_TOLERANCE * parameters


def plain(name: str) -> str:
    """Return a name with hyphens as its only separators, in lower case."""
    return re.sub(r"[\s._/\\-]+", "-", name.strip().casefold()).strip("-")


def hub_cache_id(path: str) -> tuple[str, str] | None:
    """Return Hub id and commit of a folder in the Hub's cache; None for other folders.

    The commit is empty where the path does not have it.
    """
    parts = PurePath(path).parts
    for index, part in enumerate(parts):
        if match := HUB_CACHE_FOLDER.fullmatch(part):
            commit = parts[index + 2] if parts[index + 1 : index + 2] == ("snapshots",) and parts[index + 2 :] else ""
            return f"{match['org']}/{match['name']}", commit
    return None


def candidates(name: str) -> Iterator[Candidate]:
    """Yield the names in the catalogue that a served or folder's name may stand for, the most likely first."""
    if cached := hub_cache_id(name):
        name = cached[0]
    parts = [part for part in name.replace("\\", "/").casefold().split("/") if part not in {"", "."}]
    if not parts:
        return
    last, tag = _without_tag(_WEIGHTS.sub("", parts[-1]))
    seen: dict[Candidate, None] = {}
    # With the organization first, then without it, as gateways and servers have prefixes of their own.
    for stem in ([f"{parts[-2]}/{last}"] if len(parts) > 1 else []) + [last]:
        for found in _with_tag(list(_stems(plain(stem))), tag):
            seen.setdefault(found)
    yield from seen


def _without_tag(name: str) -> tuple[str, str]:
    stem, separator, tag = re.sub(r"^@", "", name).partition("@")
    if not separator:
        stem, _, tag = name.partition(":")
    tag = plain(tag)
    if tag in ROUTING_TAGS:
        tag = ""
    # A tag that only says the number format leaves nothing.
    *_, tag = _endings_off(f"-{tag}") if tag else [""]
    return stem, tag.strip("-")


def _endings_off(name: str) -> Iterator[str]:
    """Yield the name, and then without each of its endings for formats."""
    yield name
    while (shorter := _ENDING.sub("", name)) != name:
        name = shorter
        yield name


def _stems(name: str) -> Iterator[str]:
    for stem in _endings_off(name):
        yield stem
        if stem.startswith("text-embedding-"):  # LM Studio's prefix
            yield stem.removeprefix("text-embedding-")
        vendor, _, rest = stem.partition("-")
        if vendor in {"cohere", "amazon"}:  # Bedrock: cohere.embed-v4:0
            yield rest


def _with_tag(stems: Iterable[str], tag: str) -> Iterator[Candidate]:
    parameters = None
    rest = []
    for word in _tag_words(tag):
        if match := _SIZE.fullmatch(word):
            parameters = float(match[1].replace("-", ".")) * {"m": 1e6, "b": 1e9}[match[2]]
        else:
            rest.append(word)
    for stem in stems:
        if tag:
            yield Candidate(f"{stem}-{tag}")
            yield Candidate("-".join([stem, *rest]), parameters)
        if not rest and stem in LIBRARY_NAMES:
            yield Candidate(plain(LIBRARY_NAMES[stem]), parameters)
        if not tag:
            yield Candidate(stem)
            if stem in LATEST_SIZES:
                yield Candidate(plain(LATEST_SIZES[stem]))


def _tag_words(tag: str) -> list[str]:
    """Return a tag's words; a size with a decimal point is one word (``0-6b`` in the form of ``plain``)."""
    return re.findall(r"\d+-\d+[mb](?=-|$)|[^-]+", tag)
