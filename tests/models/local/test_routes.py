"""Models whose roles go through modules of their own: vectors are those of encode_query and encode_document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    Router,
    Transformer,
)

from pytest_embedbench.datasets.types import ROLES
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.local.sentence_transformers_compat import route_modules
from pytest_embedbench.models.spec import ModelSpec, NamedModel

TEXTS = ["how do whales breathe", "", "A volcano erupts when molten rock escapes.", "x " * 300]


def static(folder: Path) -> list[Any]:
    return list(SentenceTransformer(str(folder), device="cpu"))


def encoder(folder: Path, width: int = 48) -> list[Any]:
    torch.manual_seed(3)
    return [Transformer(str(folder)), Pooling(32, "cls"), Dense(32, width)]


Builders = dict[str, Any]
MODELS: Builders = {
    "static queries": lambda static_folder, tiny: [
        Router.for_query_document(static(static_folder), encoder(tiny)), Normalize(),
    ],
    "two transformers": lambda _, tiny: [Router.for_query_document(encoder(tiny), [*encoder(tiny), Normalize()])],
    "one transformer for both": lambda _, tiny: [
        Router.for_query_document(shared := [Transformer(str(tiny)), Pooling(32, "mean")], shared),
    ],
    "roles part after pooling": lambda _, tiny: [
        Transformer(str(tiny)), Pooling(32, "mean"), Router.for_query_document([Dense(32, 16)], [Dense(32, 16)]),
    ],
    "routes by role and modality": lambda static_folder, tiny: [
        Router(
            {"small": static(static_folder), "large": encoder(tiny)},
            route_mappings={("query", "text"): "small", (None, "text"): "large"},
        )
    ],
    "a default route": lambda static_folder, tiny: [
        Router(
            {"query": static(static_folder), "rest": encoder(tiny)}, route_mappings={("document", None): "rest"}
        )
    ],
}  # fmt: skip


def save(modules: list[Any], folder: Path, **settings: Any) -> SentenceTransformer:
    SentenceTransformer(modules=modules, device="cpu", **settings).save_pretrained(str(folder), create_model_card=False)
    return SentenceTransformer(str(folder), device="cpu")


def load(folder: Path, **keys: Any) -> SentenceTransformerModel:
    named = NamedModel(alias="m", spec=ModelSpec(path=str(folder), **keys))
    return SentenceTransformerModel(named, folder, device="cpu", dtype="fp32")


@pytest.mark.parametrize("name", MODELS)
def test_each_role_takes_its_route(name: str, static_folder: Path, tiny_folder: Path, tmp_path: Path) -> None:
    prompts = {"query": "find: ", "document": "text: "}
    theirs = save(MODELS[name](static_folder, tiny_folder), tmp_path / "saved", prompts=prompts)
    ours = load(tmp_path / "saved")
    for role, encode in zip(ROLES, (theirs.encode_query, theirs.encode_document), strict=True):
        found = ours.forward(ours.prepare(TEXTS, role), role)
        np.testing.assert_allclose(found, encode(TEXTS), atol=1e-5)
    assert ours.facts.prompts == prompts
    assert ours.facts.dimensions == theirs.get_embedding_dimension()


def test_facts_name_both_routes(static_folder: Path, tiny_folder: Path, tmp_path: Path) -> None:
    save(MODELS["static queries"](static_folder, tiny_folder), tmp_path / "saved")
    facts = load(tmp_path / "saved", max_seq_length=16).facts
    assert facts.architecture == "query: StaticEmbedding, document: bert"
    assert facts.pooling == "query: mean, document: cls"
    assert (facts.normalized, facts.max_tokens, facts.pads) == (True, 16, True)


def test_a_router_without_a_route_for_a_role_is_an_error(static_folder: Path, tmp_path: Path) -> None:
    save([Router({"query": static(static_folder)}, allow_empty_key=False)], tmp_path / "saved")
    with pytest.raises(ModelError, match="No route found for task type 'document'"):
        load(tmp_path / "saved")


def test_a_routers_names_are_there_and_can_be_missed() -> None:
    router: Any = Router.for_query_document([Dense(2, 2)], [Dense(2, 3)])
    assert hasattr(router, "_resolve_route"), "renamed: see models/local/sentence_transformers_compat.py"
    (chosen,) = route_modules(router, "document")
    assert chosen.out_features == 3

    class Old:
        sub_modules = router.sub_modules
        default_route = None

    old: Any = Old()
    (chosen,) = route_modules(old, "query")
    assert chosen.out_features == 2
    del Old.sub_modules["query"]
    with pytest.raises(ValueError, match="no route for 'query'"):
        route_modules(old, "query")


def test_tokens_of_a_router_cannot_be_counted_by_one_tokenizer(
    static_folder: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    from pytest_embedbench.models.registry import token_counter

    save(MODELS["static queries"](static_folder, tiny_folder), tmp_path / "saved")
    assert "Router" in json.loads((tmp_path / "saved" / "modules.json").read_text())[0]["type"]
    with pytest.raises(ModelError, match="queries and documents have encoders of their own"):
        token_counter(NamedModel(alias="m", spec=ModelSpec(path=str(tmp_path / "saved"))))
