"""The kinds of models that a definition can speak of, and which of its keys have a meaning for which."""

from __future__ import annotations

import re

import msgspec

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.models.spec import ModelSpec, NamedModel

NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
IMPORT_PATH = re.compile(f"{NAME}:{NAME}")
"""``package.module:function``, also ``module:object.method``."""

CALLED = {
    "sentence-transformers": "a local model",
    "bm25": "BM25",
    "endpoint": "an endpoint",
    "callable": "a Python function",
}
LOCAL, SERVED, FUNCTION = ("sentence-transformers",), ("endpoint",), ("callable",)

MEANT_FOR = {
    **dict.fromkeys(("path", "package", "package_folder", "package_extra", "hub", "trust_remote_code"), LOCAL),
    **dict.fromkeys(("backend", "backend_file"), LOCAL),
    **dict.fromkeys(("url", "model", "api_key_env", "encoding", "batch_texts", "batch_tokens", "concurrency"), SERVED),
    **dict.fromkeys(("timeout", "retries", "unsent", "query_parameters", "document_parameters"), SERVED),
    "callable": FUNCTION,
    "tokenizer": SERVED + FUNCTION,
    **dict.fromkeys(("max_seq_length", "query_prompt", "document_prompt"), LOCAL + SERVED + FUNCTION),
}
"""Keys that not every kind of model has, and the kinds that have them."""


def named_callable(name: str) -> NamedModel | None:
    """The Python function that an import path means, under that name; None where the name is none. Imports nothing."""
    return NamedModel(alias=name, spec=_function(ModelSpec(callable=name))) if IMPORT_PATH.fullmatch(name) else None


def checked_kind(spec: ModelSpec, where: str) -> ModelSpec:
    """The definition with its kind, which ``callable`` says where ``kind`` is not there.

    Raises:
        ConfigurationError: a key has no meaning for this kind of model, or contradicts another one.
    """
    spec = _function(spec)
    default = ModelSpec()
    given = [key for key in MEANT_FOR if getattr(spec, key) != getattr(default, key)]
    for key in given:
        kinds = MEANT_FOR[key]
        if spec.kind not in kinds and spec.kind == default.kind:
            meant = " and ".join(f"{CALLED[kind].partition(' ')[2]}s" for kind in kinds)
            fix = f'add kind = "{kinds[0]}", or leave it out'
            raise ConfigurationError(f"{where}.{key}", f"is for {meant}", fix)
        if spec.kind not in kinds:
            raise ConfigurationError(f"{where}.{key}", f"has no meaning for {CALLED[spec.kind]}", "leave it out")
    if spec.backend_file and spec.backend == default.backend:
        raise ConfigurationError(
            f"{where}.backend_file", "is for another backend", 'add backend = "onnx" or "openvino"'
        )
    if spec.kind == "callable":
        _check_callable(spec, where)
    return spec


def _function(spec: ModelSpec) -> ModelSpec:
    inferred = spec.callable and spec.kind == ModelSpec().kind
    return msgspec.structs.replace(spec, kind="callable") if inferred else spec


def _check_callable(spec: ModelSpec, where: str) -> None:
    fix = 'give callable = "package.module:function"'
    if not spec.callable:
        raise ConfigurationError(where, "says not which function it is", fix)
    if not IMPORT_PATH.fullmatch(spec.callable):
        raise ConfigurationError(f"{where}.callable", f"{spec.callable!r} is no import path", fix)
    refuse_blind_cut(spec, where)


def refuse_blind_cut(spec: ModelSpec, where: str) -> None:
    """Refuse a maximal length where nobody here can count tokens.

    Raises:
        ConfigurationError: there is one, and no tokenizer.
    """
    if spec.max_seq_length and not spec.tokenizer:
        fix = "give tokenizer too, or leave it out: then the model itself cuts, or refuses"
        raise ConfigurationError(f"{where}.max_seq_length", "texts cannot be cut without a tokenizer", fix)
