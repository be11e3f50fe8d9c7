"""Variants in whole runs: one model loaded and encoded, each variant with results, card, node ids of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import PreparedText
    from tests.acceptance.conftest import Project

MINILM = "sentence-transformers__all-MiniLM-L6-v2"
ALL = ["minilm", "minilm@dim=64", "minilm@int8", "minilm@binary", "minilm@dim=64@int8"]
FACTS = {
    "": (384, "float32", 1536, "Dense"),
    "@dim=64": (64, "float32", 256, "Dense"),
    "@int8": (384, "int8", 384, "Dense, int8"),
    "@binary": (384, "binary", 48, "Dense, binary"),
    "@dim=64@int8": (64, "int8", 64, "Dense, int8"),
}
"""Variant -> dimensions, precision, bytes a vector, and the card's outputs."""


def suite(project: Project, *models: str) -> None:
    """Write data and a suite that reports one metric of these models."""
    project.data()
    project.write("embedbench.toml", f"[embedbench]\nmodels = {list(models)}\ndatasets = ['facts']\n")


class Watch:
    """Counts models loaded, and texts that went through one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from pytest_embedbench.models.load import load_model
        from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel

        self.loaded: list[str] = []
        self.texts = 0
        forward = SentenceTransformerModel.forward

        def watched_load(model: Any, **options: Any) -> Any:
            self.loaded.append(model.alias)
            return load_model(model, **options)

        def watched_forward(model: SentenceTransformerModel, batch: Sequence[PreparedText], role: Role) -> Any:
            self.texts += len(batch)
            return forward(model, batch, role)

        monkeypatch.setattr("pytest_embedbench.engine.loader.load_model", watched_load)
        monkeypatch.setattr(SentenceTransformerModel, "forward", watched_forward)


@pytest.fixture
def watch(project: Project, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Return what counts the work of this test's runs."""
    return Watch(monkeypatch)


def test_variants_share_the_model_and_its_vectors(project: Project, watch: Watch) -> None:
    from pytest_embedbench.reports.cards import parse

    suite(project, *ALL)
    result = project.run()
    assert result.ret == 0, project.text(result)
    assert watch.loaded == ["minilm"]
    assert watch.texts == 10, "six documents and four queries, once for all variants"
    assert list(dict.fromkeys(row["model"] for row in project.table(result))) == ALL
    runs, keys = set(), set()
    for suffix, (dimensions, precision, size, outputs) in FACTS.items():
        details = project.result(model=f"{MINILM}{suffix}").embedbench
        assert (details.model.name, details.model.alias) == (
            f"sentence-transformers/all-MiniLM-L6-v2{suffix}",
            f"minilm{suffix}",
        )
        facts = details.model.facts
        assert (facts.dimensions, facts.precision, facts.bytes_per_vector) == (dimensions, precision, size)
        assert details.load_seconds is not None
        card = parse(project.card_text(f"{MINILM}{suffix}"))
        assert card.title == details.model.name
        assert (card.overview["Outputs"], card.overview["Dimensions"]) == (outputs, f"Dense: {dimensions}")
        assert next(link.text for link in card.links) == "sentence-transformers/all-MiniLM-L6-v2 on HuggingFace"
        runs.add(details.evidence.run_sha256)
        keys.add(details.key)
    assert len(runs) == len(keys) == len(ALL)


def test_a_stored_run_is_its_own_variants(project: Project, watch: Watch) -> None:
    suite(project, *ALL)
    project.run()
    again = project.run()
    assert again.stdout.str().count("(reused: same model, data and settings") == len(ALL)
    assert watch.loaded == ["minilm"]
    definition = "[models.mine]\npath = 'copy'\n"
    project.model()
    for settings, reused in (("", 0), ("precision = 'int8'", 0), ("precision = 'int8'", 1), ("dimensions_kept = 9", 0)):
        project.write("embedbench.toml", f"[embedbench]\ndatasets = ['facts']\n{definition}name = 'mine'\n{settings}\n")
        assert project.run().stdout.str().count("(reused: ") == reused, settings


def test_a_variant_is_chosen_by_its_node_id(project: Project) -> None:
    suite(project, "minilm@int8@dim=64", "minilm")
    node = "embedbench.toml::minilm@dim=64@int8::facts::quality[ndcg@10]"
    listed = project.run("--collect-only", "-q")
    assert [line for line in listed.outlines if "::" in line] == [node, node.replace("@dim=64@int8", "")]
    project.run(node).assert_outcomes(passed=1)
    project.run("-k", "int8").assert_outcomes(passed=1, deselected=1)


def test_checks_of_the_model_leave_its_variants_alone(project: Project) -> None:
    project.data()
    project.write(
        "embedbench.toml",
        """
        [embedbench]
        models = ["minilm", "minilm@dim=1"]
        datasets = ["facts"]
        [[checks]]
        model = "minilm"
        quality = ["recall@1 >= 0.75"]
        [[checks]]
        model = "minilm@*"
        quality = ["recall@1 < 0.75"]
        """,
    )
    rows = project.table(project.run())
    assert [(row["model"], row["limit"], row["verdict"]) for row in rows] == [
        ("minilm", ">= 0.75", "pass"),
        ("minilm@dim=1", "< 0.75", "pass"),
    ]


def test_a_python_test_gets_the_variants_vectors(project: Project, watch: Watch) -> None:
    project.data()
    project.write(
        "test_it.py",
        """
        import numpy as np
        import pytest

        MADE = {}

        @pytest.mark.embedbench(
            models=["minilm", "minilm@dim=64", "minilm@int8", "minilm@dim=64@binary"], datasets=["facts"]
        )
        def test_it(embed_model, embed_evaluation):
            made = MADE[embed_model.name] = embed_model.encode(["how does a volcano erupt", "tea", "tea"])
            assert made.dtype == np.float32
            assert made.shape == (3, embed_model.facts.dimensions)
            assert np.array_equal(made[1], made[2])
            assert embed_evaluation["recall@5"] > 0

        def test_all():
            whole = MADE["minilm"]
            cut = whole[:, :64] / np.linalg.norm(whole[:, :64], axis=1, keepdims=True)
            np.testing.assert_allclose(MADE["minilm@dim=64"], cut, atol=1e-6)
            assert np.array_equal(MADE["minilm@dim=64@binary"], np.where(whole[:, :64] > 0, 1, -1))
            stored = MADE["minilm@int8"]
            assert np.abs(stored - whole).max() < 0.2
            assert (np.abs(stored - whole) < 1e-3).mean() > 0.5
        """,
    )
    result = project.run("test_it.py")
    result.assert_outcomes(passed=5)
    assert watch.loaded == ["minilm"]


def test_int8_has_the_same_ranges_without_an_evaluation(project: Project) -> None:
    project.data()
    project.write(
        "test_it.py",
        """
        import pathlib
        import numpy as np
        import pytest

        @pytest.mark.embedbench(models=["minilm@int8"], datasets=["facts"])
        def test_it(request, embed_model):
            made = embed_model.encode(["tea"])
            path = pathlib.Path("before.npy")
            if path.exists():
                np.testing.assert_allclose(made, np.load(path), atol=1e-6)
            np.save(path, made)

        @pytest.mark.embedbench(models=["minilm@int8"], datasets=["facts"])
        def test_first(embed_evaluation):
            assert embed_evaluation["recall@1"] > 0
        """,
    )
    project.run("test_it.py::test_it").assert_outcomes(passed=1)
    project.run("test_it.py::test_first", "test_it.py::test_it").assert_outcomes(passed=2)
    project.run("--embed-no-cache", "test_it.py::test_it").assert_outcomes(passed=1)


def test_a_load_profile_of_a_variant(project: Project) -> None:
    suite(project, "minilm@dim=64@int8")
    result = project.run("--embed-profile=b1 c2", "--embed-profile-seconds=1")
    assert result.ret == 0, project.text(result)
    profile = project.result(model=f"{MINILM}@*").embedbench.profiles["b1 c2"]
    assert profile.query.requests > 0
    assert profile.corpus.mean_ms > 0


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("minilm@int9", ["--embed-model: unknown variant 'int9' in 'minilm@int9'", "fix: did you mean 'int8'?"]),
        ("minilm@dim=abc", ["--embed-model: 'dim=abc' gives no number of dimensions above 0", "fix: write dim=128"]),
        ("minilm@dim=9999", ["--embed-model: 'minilm@dim=9999': * have 384 dimensions, not 9999", "fix: keep 384"]),
        ("bm25@int8", ["--embed-model: 'bm25@int8': bm25 has no vectors", "fix: write bm25"]),
        ("minilm@int8@binary", ["--embed-model: two precisions (int8 and binary)", "fix: choose one"]),
        ("minilm@", ["--embed-model: nothing after an @ in 'minilm@'", "fix: leave it out"]),
    ],
)
def test_bad_names_are_one_message_before_any_work(project: Project, watch: Watch, name: str, parts: list[str]) -> None:
    project.data()
    result = project.run(f"--embed-model={name}", "--embed-dataset=facts")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{part.replace('[', '[[]')}*" for part in parts])
    assert "Traceback" not in project.text(result)
    assert watch.loaded == []


def test_too_many_dimensions_of_an_unknown_model_are_found_before_anything_is_encoded(
    project: Project, watch: Watch
) -> None:
    project.model("mine")
    suite(project, "mine@dim=9999")
    result = project.run("--embed-profile=b1 c1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["model 'mine@dim=9999': its vectors have 384 dimensions, so 9999 of them cannot be kept"]
    )
    assert "Traceback" not in project.text(result)
    assert (watch.loaded, watch.texts) == (["mine"], 0)


def test_a_folder_whose_name_has_an_at_sign(project: Project) -> None:
    project.model("copy@int8")
    suite(project, "copy@int8", "copy@int8@binary")
    result = project.run()
    assert result.ret == 0, project.text(result)
    assert project.result(model="copy@int8").embedbench.model.facts.precision == "float32"
    assert project.result(model="copy@int8@binary").embedbench.model.facts.precision == "binary"
