"""Names of variants: what they mean, what is said of bad ones, and which checks speak of them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from pytest_embedbench import catalog
from pytest_embedbench.errors import ConfigurationError, closest
from pytest_embedbench.models.spec import NamedModel
from pytest_embedbench.models.variants import FULL_VECTORS, Variant
from pytest_embedbench.suite.model_names import Overrides
from pytest_embedbench.suite.plan import read_suite

NAME = "embedbench.toml"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
INT8 = Variant(precision="int8")
BINARY = Variant(precision="binary")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for model in ("encoder", "odd@home", "odd@int8"):
        (tmp_path / model).mkdir()
        (tmp_path / model / "modules.json").write_text("[]")
    (tmp_path / "bare").mkdir()
    return tmp_path


def suite_of(folder: Path, text: str) -> Path:
    path = folder / NAME
    path.write_text(dedent(text), encoding="utf-8")
    return path


def chosen(folder: Path, *names: str, definitions: str = "") -> list[NamedModel]:
    """The models that these names mean on a command line."""
    suite = read_suite(suite_of(folder, definitions), Overrides(folder=folder, models=names))
    return [pair.model for pair in suite.pairs]


@pytest.mark.parametrize(
    ("name", "alias", "full", "variant"),
    [
        ("minilm@dim=128", "minilm@dim=128", f"{MINILM}@dim=128", Variant(dimensions=128)),
        ("minilm@int8", "minilm@int8", f"{MINILM}@int8", INT8),
        ("minilm@binary", "minilm@binary", f"{MINILM}@binary", BINARY),
        ("minilm@dim=128@int8", "minilm@dim=128@int8", f"{MINILM}@dim=128@int8", Variant(dimensions=128, precision="int8")),
        ("MiniLM@INT8@DIM=064", "minilm@dim=64@int8", f"{MINILM}@dim=64@int8", Variant(dimensions=64, precision="int8")),
        ("minilm@dim=384@dim=384", "minilm@dim=384", f"{MINILM}@dim=384", Variant(dimensions=384)),
        (f"{MINILM}@binary", "minilm@binary", f"{MINILM}@binary", BINARY),
        ("all-MiniLM-L6-v2@int8", "minilm@int8", f"{MINILM}@int8", INT8),
        ("org/model@dim=7", "org/model@dim=7", "org/model@dim=7", Variant(dimensions=7)),
        ("./encoder@int8", "encoder@int8", "encoder@int8", INT8),
        ("odd@home", "odd@home", "odd@home", FULL_VECTORS),
        ("odd@home@binary@dim=9", "odd@home@dim=9@binary", "odd@home@dim=9@binary", Variant(dimensions=9, precision="binary")),
        ("odd@int8", "odd@int8", "odd@int8", FULL_VECTORS),
        ("odd@int8@int8", "odd@int8@int8", "odd@int8@int8", INT8),
        ("mine@int8", "mine@int8", "org/mine@int8", INT8),
        ("small", "small", "org/mine@dim=32@int8", Variant(dimensions=32, precision="int8")),
        ("small@int8", "small@dim=32@int8", "org/mine@dim=32@int8", Variant(dimensions=32, precision="int8")),
        ("at@binary", "at@binary", "at@binary", FULL_VECTORS),
    ],
)  # fmt: skip
def test_a_variant_of_whatever_names_a_model(project: Path, name: str, alias: str, full: str, variant: Variant) -> None:
    definitions = """
        [models.mine]
        hub = "org/mine"
        [models.small]
        hub = "org/mine"
        dimensions_kept = 32
        precision = "int8"
        [models."at@binary"]
        path = "encoder"
        """
    (model,) = chosen(project, name, definitions=definitions)
    assert (model.alias, model.name, model.variant) == (alias, full, variant)
    assert (model.spec.dimensions_kept, model.spec.precision) == (variant.dimensions, variant.precision)
    assert model.base.variant == FULL_VECTORS


@pytest.mark.parametrize("name", ["minilm", "encoder", "odd@home", "org/model"])
def test_variants_have_one_base(project: Path, name: str) -> None:
    plain, *variants = chosen(project, name, f"{name}@int8", f"{name}@dim=12", f"{name}@dim=12@binary")
    assert {model.base for model in variants} == {plain.base} == {plain}
    assert plain.variant == FULL_VECTORS


def test_a_variant_given_twice_counts_once(project: Path) -> None:
    models = chosen(project, "minilm@int8@dim=12", "minilm@dim=12@int8", "minilm@int8")
    assert [model.alias for model in models] == ["minilm@dim=12@int8", "minilm@int8"]


def test_two_definitions_of_one_model_differ_by_their_variant(project: Path) -> None:
    definitions = '[models.a]\npath = "encoder"\n[models.b]\npath = "encoder"\nprecision = "binary"'
    assert [(model.alias, model.name) for model in chosen(project, "a", "b", definitions=definitions)] == [
        ("a", "a"),
        ("b", "b@binary"),
    ]


MODEL_FIX = "use an alias, a Hub id (org/model), a folder, http://HOST/v1#MODEL, package.module:function, or define it in [models.NAME]"


@pytest.mark.parametrize(
    ("name", "problem", "fix"),
    [
        ("minilm@int9", "unknown variant 'int9' in 'minilm@int9'", "did you mean 'int8'?"),
        ("minilm@int8@binry", "unknown variant 'binry' in 'minilm@int8@binry'", "did you mean 'binary'?"),
        ("minilm@float32", "unknown variant 'float32' in 'minilm@float32'", "known are binary, dim=128, int8"),
        ("minilm@dim=abc", "'dim=abc' gives no number of dimensions above 0 in 'minilm@dim=abc'", "write dim=128"),
        ("minilm@dim=0", "'dim=0' gives no number of dimensions above 0 in 'minilm@dim=0'", "write dim=128"),
        ("minilm@dim=-1", "'dim=-1' gives no number of dimensions above 0 in 'minilm@dim=-1'", "write dim=128"),
        ("minilm@dim128", "'dim128' gives no number of dimensions above 0 in 'minilm@dim128'", "write dim=128"),
        ("minilm@dim=9999", "'minilm@dim=9999': the vectors of minilm have 384 dimensions, not 9999", "keep 384 of them or fewer"),
        ("minilm@dim=385@int8", "'minilm@dim=385@int8': the vectors of minilm have 384 dimensions, not 385", "keep 384 of them or fewer"),
        ("bm25@int8", "'bm25@int8': bm25 has no vectors to cut or quantize", "write bm25"),
        ("bm25@dim=2", "'bm25@dim=2': bm25 has no vectors to cut or quantize", "write bm25"),
        ("minilm@int8@binary", "two precisions (int8 and binary) in 'minilm@int8@binary'", "choose one of them"),
        ("minilm@dim=2@dim=3", "two numbers of dimensions (2 and 3) in 'minilm@dim=2@dim=3'", "choose one of them"),
        ("small@binary", "two precisions (int8 and binary) in 'small@binary'", "choose one of them"),
        ("minilm@", "nothing after an @ in 'minilm@'", "leave it out, or add one of dim=128, int8, binary"),
        ("minilm@@int8", "nothing after an @ in 'minilm@@int8'", "leave it out, or add one of dim=128, int8, binary"),
        ("minlm@int8", "unknown model 'minlm@int8'; did you mean 'minilm'?", MODEL_FIX),
        ("@int8", f"unknown model '@int8'; {closest('', [*catalog.models(), 'small'])}", MODEL_FIX),
        ("./gone@int8", "no such folder: ./gone", "give a saved model's folder"),
        ("bare@int8", "{at}/bare has neither modules.json nor config.json", "give the folder of a saved sentence-transformers model"),
    ],
)  # fmt: skip
def test_bad_names(project: Path, name: str, problem: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        chosen(project, name, definitions='[models.small]\nhub = "org/small"\nprecision = "int8"')
    error = caught.value
    assert (error.where, error.problem, error.fix) == ("--embed-model", problem.replace("{at}", str(project)), fix)


@pytest.mark.parametrize(
    ("definition", "where", "problem", "fix"),
    [
        ("dimensions_kept = 0", ".dimensions_kept", "Expected int >= 1", "give int >= 1"),
        ("dimensions_kept = '8'", ".dimensions_kept", "Expected int | null, got str", "give int"),
        ("precision = 'int4'", ".precision", "Invalid enum value 'int4'", "give one of float32, int8, binary"),
        ("dimensions = 8\ndimensions_kept = 9", "", "'m': the vectors of m have 8 dimensions, not 9", "keep 8 of them or fewer"),
        ("price_per_million_tokens = -1", ".price_per_million_tokens", "Expected float >= 0.0", "give float >= 0.0"),
    ],
)  # fmt: skip
def test_bad_definitions(project: Path, definition: str, where: str, problem: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_suite(suite_of(project, f"[models.m]\nhub = 'org/m'\n{definition}"))
    error = caught.value
    assert (error.where, error.problem, error.fix) == (f"{NAME}: models.m{where}", problem, fix)


def test_a_release_date_is_a_day(project: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"models\.m\.release_date: Expected str matching"):
        read_suite(suite_of(project, "[models.m]\nhub = 'org/m'\nrelease_date = 'last summer'"))


def test_checks_of_a_model_are_not_its_variants(project: Path) -> None:
    text = f"""
        [embedbench]
        models = ["minilm", "minilm@int8", "minilm@dim=64@binary", "small"]
        [[checks]]
        model = ["minilm", "{MINILM}", "all-MiniLM-L6-v2", "tiny"]
        quality = ["map@1 >= 0"]
        [[checks]]
        model = "minilm*"
        quality = ["map@2 >= 0"]
        [[checks]]
        model = ["MINILM@int8", "{MINILM}@dim=64@binary", "small"]
        quality = ["map@3 >= 0"]
        [[checks]]
        model = "all-MiniLM-L6-v2@int8"
        quality = ["map@4 >= 0"]
        [models.small]
        path = "encoder"
        aliases = ["tiny"]
        precision = "int8"
        """
    pairs = read_suite(suite_of(project, text)).pairs
    assert {pair.model.alias: [check.measure.k for check in pair.checks if hasattr(check, "measure")] for pair in pairs} == {
        "minilm": [1, 2],
        "minilm@int8": [2, 3, 4],
        "minilm@dim=64@binary": [2, 3],
        "small": [1, 3],
    }  # fmt: skip


def test_the_catalogue_says_who_made_what_and_when() -> None:
    models = catalog.models()
    assert (models["minilm"].provider, models["minilm"].release_date) == ("sentence-transformers", "2021-08-30")
    assert models["minilm"].languages == models["bm25"].languages == ("eng-Latn",)
    assert models["bm25"].release_date == "2024-07-10"
    assert {spec.kind for spec in models.values() if spec.price_per_million_tokens is not None} == {"endpoint"}
