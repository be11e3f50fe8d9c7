"""Names and definitions of the kinds of models: which keys go together, and the messages where they do not."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.models.spec import NamedModel
from pytest_embedbench.suite.model_names import Overrides
from pytest_embedbench.suite.plan import Suite, read_suite


def suite(folder: Path, text: str, *models: str) -> Suite:
    (folder / "embedbench.toml").write_text(dedent(text), "utf-8")
    return read_suite(folder / "embedbench.toml", Overrides(models=models, folder=folder))


def model(folder: Path, text: str, *models: str) -> NamedModel:
    (pair,) = suite(folder, text, *models).pairs
    return pair.model


@pytest.mark.parametrize("path", ["module:function", "package.inner.module:model.encode", "_m:f_1", "módulo:función"])
def test_an_import_path_is_a_model_and_nothing_is_imported(tmp_path: Path, path: str) -> None:
    (tmp_path / "module.py").write_text("raise AssertionError('imported')")
    found = model(tmp_path, "", path)
    assert (found.alias, found.name) == (path, path)
    assert (found.spec.kind, found.spec.callable) == ("callable", path)
    assert "module" not in sys.modules


def test_an_import_path_has_variants(tmp_path: Path) -> None:
    cut = model(tmp_path, "", "module:function@dim=64@int8")
    assert (cut.alias, cut.spec.dimensions_kept, cut.spec.precision) == ("module:function@dim=64@int8", 64, "int8")
    assert cut.base == model(tmp_path, "", "module:function")


@pytest.mark.parametrize("kind", ["", "kind = 'callable'"])
def test_a_definition_of_a_function(tmp_path: Path, kind: str) -> None:
    (tmp_path / "words").mkdir()
    found = model(
        tmp_path,
        f"[models.mine]\n{kind}\ncallable = 'package.module:encode'\nquery_prompt = 'Q: '\nrevision = 'v1'\n"
        "tokenizer = 'words'\nmax_seq_length = 100",
    )
    assert (found.alias, found.spec.kind, found.spec.revision) == ("mine", "callable", "v1")
    assert (found.spec.callable, found.prompts["query"]) == ("package.module:encode", "Q: ")
    assert found.spec.tokenizer == str(tmp_path / "words")


def test_a_definition_with_a_backend(tmp_path: Path) -> None:
    found = model(tmp_path, "[models.m]\nhub = 'o/m'\nbackend = 'onnx'\nbackend_file = 'onnx/model_O3.onnx'")
    assert (found.spec.backend, found.spec.backend_file) == ("onnx", "onnx/model_O3.onnx")


def test_a_definition_with_a_similarity(tmp_path: Path) -> None:
    for kind in ("hub = 'o/m'", "callable = 'm:f'", "kind = 'endpoint'\nurl = 'http://h/v1'\nmodel = 'm'"):
        assert model(tmp_path, f"[models.m]\n{kind}\nsimilarity = 'dot'").spec.similarity == "dot"
    with pytest.raises(
        ConfigurationError, match=r"models\.m\.similarity: .*\n  fix: give one of cosine, dot, euclidean, "
    ):
        model(tmp_path, "[models.m]\nhub = 'o/m'\nsimilarity = 'cos'")
    with pytest.raises(ConfigurationError, match="has no meaning for BM25"):
        model(tmp_path, "[models.m]\nkind = 'bm25'\nsimilarity = 'dot'")


FUNCTION = "[models.m]\ncallable = 'm:f'\n"
DEFINITIONS = {
    "a function and a folder": (FUNCTION + "path = '.'", "m.path: has no meaning for a Python function", "leave it out"),
    "a function and the Hub": (FUNCTION + "hub = 'o/m'", "m.hub: has no meaning for a Python function", "leave it out"),
    "a function and an address": (FUNCTION + "url = 'http://h/v1'", "m.url: has no meaning for a Python function", "leave it out"),
    "a function and a backend": (FUNCTION + "backend = 'onnx'", "m.backend: has no meaning for a Python function", "leave it out"),
    "a function and remote code": (FUNCTION + "trust_remote_code = true", "m.trust_remote_code: has no meaning", "leave it out"),
    "a function cut blindly": (FUNCTION + "max_seq_length = 9", "m.max_seq_length: texts cannot be cut", "give tokenizer too"),
    "no import path": ("[models.m]\ncallable = 'm.f'", "m.callable: 'm.f' is not an import path", 'give callable = "package.module:function"'),
    "a file": ("[models.m]\ncallable = 'm.py:'", "m.callable: 'm.py:' is not an import path", "give callable"),
    "no function": ("[models.m]\nkind = 'callable'", "m: does not say which function it is", "give callable"),
    "an endpoint that is a function": (
        "[models.m]\nkind = 'endpoint'\nurl = 'http://h/v1'\nmodel = 'm'\ncallable = 'm:f'",
        "m.callable: has no meaning for an endpoint", "leave it out",
    ),
    "an endpoint with a backend": (
        "[models.m]\nkind = 'endpoint'\nurl = 'http://h/v1'\nmodel = 'm'\nbackend = 'onnx'",
        "m.backend: has no meaning for an endpoint", "leave it out",
    ),
    "BM25 in a folder": ("[models.m]\nkind = 'bm25'\npath = '.'", "m.path: has no meaning for BM25", "leave it out"),
    "BM25 quantized": ("[models.m]\nkind = 'bm25'\nprecision = 'int8'", "'m': m has no vectors to cut or quantize", "write m"),
    "BM25 with a prompt": ("[models.m]\nkind = 'bm25'\nquery_prompt = 'Q'", "m.query_prompt: has no meaning for BM25", "leave it out"),
    "a tokenizer of a local model": (
        "[models.m]\nhub = 'o/m'\ntokenizer = 't'", "m.tokenizer: is for endpoints and Python functions", 'add kind = "endpoint"',
    ),
    "a file of torch": ("[models.m]\nhub = 'o/m'\nbackend_file = 'f'", 'm.backend_file: has no meaning for backend = "torch"', 'add backend = "onnx"'),
    "no backend": ("[models.m]\nhub = 'o/m'\nbackend = 'jax'", "m.backend: Invalid enum value 'jax'", "give one of torch, onnx, openvino"),
    "too many dimensions kept": (FUNCTION + "dimensions = 8\ndimensions_kept = 9", "the vectors of m have 8 dimensions, not 9", "keep 8"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problem", "fix"), DEFINITIONS.values(), ids=DEFINITIONS)
def test_bad_definitions(tmp_path: Path, text: str, problem: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        suite(tmp_path, text)
    assert str(caught.value).startswith("embedbench.toml: models.m")
    assert problem in str(caught.value)
    assert f"fix: {fix}" in str(caught.value)


@pytest.mark.parametrize("name", ["module:", ":function", "my-module:function", "module:1", "module.py:f:g", "a b:c"])
def test_what_is_no_import_path_is_an_unknown_model(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="unknown model") as caught:
        suite(tmp_path, "", name)
    assert "http://HOST/v1#MODEL, package.module:function, or define it" in str(caught.value)
