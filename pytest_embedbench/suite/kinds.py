"""The kinds of models that a definition can describe, and which keys each kind has."""

from __future__ import annotations

import re
from functools import partial

import msgspec

from pytest_embedbench.core.parsing import parse_at
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.models.prompts import prompt_parts
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.suite.links import check_links

_DOTTED_NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
IMPORT_PATH = re.compile(f"{_DOTTED_NAME}:{_DOTTED_NAME}")
"""``package.module:function``, also ``module:object.method``."""

KIND_NAMES = {
    "sentence-transformers": "a local model",
    "bm25": "BM25",
    "endpoint": "an endpoint",
    "callable": "a Python function",
}
"""Names of the kinds in messages."""

LOCAL, ENDPOINT, FUNCTION = ("sentence-transformers",), ("endpoint",), ("callable",)

KINDS_WITH_KEY = {
    **dict.fromkeys(("path", "package", "package_folder", "package_extra", "hub", "trust_remote_code"), LOCAL),
    **dict.fromkeys(("backend", "backend_file"), LOCAL),
    **dict.fromkeys(
        ("url", "model", "api_key_env", "encoding", "batch_texts", "batch_tokens", "concurrency"), ENDPOINT
    ),
    **dict.fromkeys(("timeout", "retries", "unsent", "query_parameters", "document_parameters"), ENDPOINT),
    **dict.fromkeys(("query", "headers", "patience", "requests_per_minute", "hardware"), ENDPOINT),
    "callable": FUNCTION,
    "tokenizer": ENDPOINT + FUNCTION,
    **dict.fromkeys(("max_seq_length", "query_prompt", "document_prompt", "similarity"), LOCAL + ENDPOINT + FUNCTION),
}
"""Keys that only some kinds of models have, and these kinds. All other keys of ``ModelSpec`` are for every kind."""


def named_callable(name: str) -> NamedModel | None:
    """Return the model that an import path such as ``package.module:function`` stands for, without importing it.

    None if the name is not an import path.
    """
    return NamedModel(alias=name, spec=_with_kind(ModelSpec(callable=name))) if IMPORT_PATH.fullmatch(name) else None


def checked_kind(spec: ModelSpec, where: str) -> ModelSpec:
    """Fill in the definition's kind, check that all of its keys belong to this kind, and return the definition.

    A definition with ``callable`` and without ``kind`` is a Python function.

    Raises:
        ConfigurationError: a key has no meaning for this kind of model, contradicts another key, or is a link that
            is no address of the web.
    """
    spec = _with_kind(spec)
    default = ModelSpec()
    for key, kinds in KINDS_WITH_KEY.items():
        # A key with its default value counts as absent: msgspec does not tell the two apart.
        if getattr(spec, key) == getattr(default, key) or spec.kind in kinds:
            continue
        if spec.kind == default.kind:
            # The kind was probably forgotten, so the message names the kinds that have the key: "an endpoint" without
            # its article and with an s.
            owners = " and ".join(f"{KIND_NAMES[kind].partition(' ')[2]}s" for kind in kinds)
            fix = f'add kind = "{kinds[0]}", or leave it out'
            raise ConfigurationError(f"{where}.{key}", f"is for {owners}", fix)
        raise ConfigurationError(f"{where}.{key}", f"has no meaning for {KIND_NAMES[spec.kind]}", "leave it out")
    if spec.backend_file and spec.backend == default.backend:
        problem, fix = f'has no meaning for backend = "{spec.backend}"', 'add backend = "onnx" or "openvino"'
        raise ConfigurationError(f"{where}.backend_file", problem, fix)
    if spec.kind == "callable":
        _check_callable(spec, where)
    check_links({"source": spec.source, "canonical_url": spec.canonical_url}, where)
    return spec


def _with_kind(spec: ModelSpec) -> ModelSpec:
    is_callable = spec.callable and spec.kind == ModelSpec().kind
    return msgspec.structs.replace(spec, kind="callable") if is_callable else spec


def _check_callable(spec: ModelSpec, where: str) -> None:
    fix = 'give callable = "package.module:function"'
    if not spec.callable:
        raise ConfigurationError(where, "does not say which function it is", fix)
    if not IMPORT_PATH.fullmatch(spec.callable):
        raise ConfigurationError(f"{where}.callable", f"{spec.callable!r} is not an import path", fix)
    refuse_length_without_tokenizer(spec, where)


def check_prompts(spec: ModelSpec, where: str) -> None:
    """Check that something fills each pair of braces in the prompts, and that the task itself has none.

    Raises:
        ConfigurationError: nothing does.
    """
    for role, prompt in spec.prompts.items():
        at = f"{where}.{role}_prompt"
        parse_at(at, partial(prompt_parts, role=role), prompt or "")
    if unfilled := re.search(r"\{\w*\}", spec.task):
        problem = f"nothing fills {unfilled[0]}: a task is put into the prompt as it stands"
        raise ConfigurationError(f"{where}.task", problem, "write the words themselves")


def refuse_length_without_tokenizer(spec: ModelSpec, where: str) -> None:
    """Refuse ``max_seq_length`` without ``tokenizer``: texts are cut at a number of tokens, which nobody could count.

    Raises:
        ConfigurationError: the definition has a maximal length and no tokenizer.
    """
    if spec.max_seq_length and not spec.tokenizer:
        fix = "give tokenizer too, or leave it out: then the model itself cuts, or refuses"
        raise ConfigurationError(f"{where}.max_seq_length", "texts cannot be cut without a tokenizer", fix)
