"""The registry of kinds of models: each kind that a definition can name is one module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models import registry
from pytest_embedbench.models.load import default_dtype, load_model
from pytest_embedbench.models.registry import KIND_MODULES, LoadOptions, ModelKind, SourceCache, kind_of, token_counter
from pytest_embedbench.models.source import ModelSource
from pytest_embedbench.models.spec import ModelSpec, NamedModel

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_embedbench.models.protocol import Model


def test_each_kind_of_a_definition_has_a_module() -> None:
    (kind,) = (field.type for field in msgspec.inspect.type_info(ModelSpec).fields if field.name == "kind")  # type: ignore[attr-defined]
    assert set(kind.values) == set(KIND_MODULES)
    for name in KIND_MODULES:
        assert isinstance(kind_of(NamedModel(alias="m", spec=ModelSpec(kind=name))), ModelKind)  # type: ignore[arg-type]


def test_a_new_kind_is_one_module_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fixed_kind.py").write_text(
        "from pytest_embedbench.models.bm25 import BM25Model\n"
        "from pytest_embedbench.models.registry import ModelKind\n"
        "from pytest_embedbench.models.source import ModelSource\n"
        "class FixedKind(ModelKind):\n"
        "    def locate(self, model): return ModelSource(None, 'v1', 'fixed')\n"
        "    def load(self, model, sources, options): return BM25Model()\n"
        "KIND = FixedKind()\n",
        "utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(KIND_MODULES, "bm25", "fixed_kind")
    model = NamedModel(alias="mine", spec=ModelSpec(kind="bm25"))
    assert load_model(model, device="cpu", dtype="").facts.architecture == "BM25"
    assert registry.locate(model) == ModelSource(None, "v1", "fixed")
    assert default_dtype(model, "cuda") == "fp32"
    with pytest.raises(ModelError, match="model 'mine' has no tokenizer to count tokens with"):
        token_counter(model)


def test_a_cache_finds_each_model_once_for_all_variants(monkeypatch: pytest.MonkeyPatch) -> None:
    located = []

    class CountingKind(ModelKind):
        def locate(self, model: NamedModel) -> ModelSource:
            located.append(model.alias)
            return ModelSource(None, "", f"{len(located)}")

        def load(self, model: NamedModel, sources: SourceCache, options: LoadOptions) -> Model:
            raise NotImplementedError

    monkeypatch.setattr("pytest_embedbench.models.bm25.KIND", CountingKind())
    model, variant = (NamedModel(alias="m", spec=ModelSpec(kind="bm25", dimensions_kept=kept)) for kept in (None, 8))
    sources = SourceCache()
    assert sources.locate(model) == sources.locate(variant) == sources.locate(model)
    assert located == ["m"]
    assert SourceCache().locate(model).fingerprint == "2", "another cache finds it anew"
