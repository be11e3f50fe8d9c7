"""Tests in Python: marker, fixtures, failed assertions that explain themselves, and hooks that add names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project


def test_a_marked_test_runs_for_each_pair(project: Project) -> None:
    pytest.importorskip("bm25s")
    project.data("one")
    project.data("two")
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.mark.embedbench(models=["minilm", "bm25"], datasets=["one", "two"])
        def test_it(embed_evaluation, embed_dataset, embed_model):
            assert embed_evaluation["recall@1"] >= 0.75
            assert embed_dataset.name in ("one", "two")
            assert embed_model.name in ("minilm", "bm25")
        """,
    )
    result = project.run("--collect-only", "-q", "--strict-markers")
    pairs = [f"test_it.py::test_it[{model}-{data}]" for model in ("minilm", "bm25") for data in ("one", "two")]
    assert [line for line in result.outlines if "::" in line] == pairs
    project.run("-v", pairs[1]).stdout.fnmatch_lines([f"{pairs[1].replace('[', '[[]')} PASSED*"])
    project.run().assert_outcomes(passed=4)
    assert {path.stem for path in project.folder.glob("embedbench-out/results/*/*/*.json")} == {
        "one", "two", "model_meta"
    }  # fmt: skip
    assert "### one" in project.card_text("embedbench__bm25")
    assert "### two" in project.card_text("embedbench__bm25")


def test_a_failed_assertion_shows_the_worst_queries(project: Project) -> None:
    project.suite("ndcg@10 >= 0.1")
    project.write(
        "test_it.py",
        """
        def test_score(embed_evaluation):
            assert embed_evaluation["ndcg@10"] >= 0.99

        def test_mirrored(embed_evaluation):
            assert 0.99 <= embed_evaluation["mrr@10"]
        """,
    )
    result = project.run("test_it.py")
    result.assert_outcomes(failed=2)
    worst = [
        "*lowest-scoring queries:",
        "*q4  'what did a medieval castle look like'",
        "*ranked first: castle 'Medieval castles *;*rank 2",
    ]
    result.stdout.fnmatch_lines(
        [
            "*_ test_score?minilm-facts? _*",
            ">*assert embed_evaluation?*ndcg@10*? >= 0.99",
            "E *ndcg@10 0.9077 >= 0.99",
            *worst,
            "*_ test_mirrored?minilm-facts? _*",
            ">*assert 0.99 <= embed_evaluation?*mrr@10*?",
            "E *mrr@10 0.8750 >= 0.99",
            *worst,
        ]
    )


def test_the_evaluation_is_a_mapping_with_evidence(project: Project) -> None:
    project.suite("ndcg@10 >= 0.1")
    project.write(
        "test_it.py",
        """
        import pytest

        def test_it(embed_evaluation, embed_dataset):
            assert set(embed_evaluation) >= {"ndcg@10", "recall@100"}
            assert len(embed_evaluation) == len(dict(embed_evaluation))
            assert embed_evaluation["nDCG@10"] == embed_evaluation["ndcg@10"]
            values = embed_evaluation.per_query["ndcg@10"]
            assert sum(values.values()) / 4 == pytest.approx(embed_evaluation["ndcg@10"])
            assert [doc for doc, _ in embed_evaluation.run["q3"]][0] == "bread"
            assert len(embed_evaluation.run["q3"]) == 6
            assert embed_dataset.qrels["q1"] == {"volcano": 2}
            with pytest.raises(Exception, match="ndcg@7 was not recorded\\n  fix: did you mean 'ndcg@"):
                embed_evaluation["ndcg@7"]
            with pytest.raises(Exception, match="did you mean 'ndcg'"):
                embed_evaluation["ndgc@10"]
        """,
    )
    project.run("test_it.py").assert_outcomes(passed=1)


def test_encode_gives_the_models_own_vectors(project: Project) -> None:
    project.suite(
        "ndcg@10 >= 0.1",
        more="""
        [models.minilm]
        path = "copy"
        query_prompt = "query: "
        """,
    )
    project.model()
    project.write(
        "test_it.py",
        """
        import numpy as np
        from sentence_transformers import SentenceTransformer

        TEXTS = ["short", "", "a text that is rather longer than the others, so that padding is needed", "short"]

        def test_it(embed_model):
            reference = SentenceTransformer("copy", device="cpu")
            vectors = embed_model.encode(TEXTS)
            assert vectors.dtype == np.float32 and vectors.shape == (4, 384)
            np.testing.assert_allclose(vectors, reference.encode(TEXTS), atol=2e-6)
            np.testing.assert_array_equal(vectors[0], vectors[3])
            asked = embed_model.encode(TEXTS, role="query")
            np.testing.assert_allclose(asked, reference.encode(TEXTS, prompt="query: "), atol=2e-6)
            assert np.abs(asked - vectors).max() > 0.01
            assert embed_model.facts.dimensions == 384
            assert embed_model.facts.prompts == {"query": "query: "}
        """,
    )
    project.run("test_it.py").assert_outcomes(passed=1)


def test_load_profiles(project: Project) -> None:
    project.suite("ndcg@10 >= 0.1")
    project.write(
        "test_it.py",
        """
        import pytest

        def test_it(embed_profile):
            profile = embed_profile("b2 c2")
            assert profile.shape == "b2 c2"
            assert 0 < profile.query.mean_ms <= profile.query.max_ms
            assert profile.query.p99_ms is None
            assert profile.query.refused["p99"].startswith("p99 needs 368 samples, there are ")
            assert profile.corpus.texts == 2 * profile.corpus.requests
            with pytest.raises(ValueError, match="is not a load profile"):
                embed_profile("2x2")
            at_a_rate = embed_profile("b1 r20")
            assert at_a_rate.query.arrivals.rate_per_s == 20
            assert at_a_rate.query.texts == at_a_rate.query.requests
        """,
    )
    project.run("test_it.py").assert_outcomes(passed=1)
    assert set(project.result().embedbench.profiles) == {"b2 c2", "b1 r20"}


def test_what_the_marker_leaves_open_comes_from_the_suite(project: Project) -> None:
    pytest.importorskip("bm25s")
    project.data("other")
    project.suite("ndcg@10 >= 0.1")
    project.write(
        "test_it.py",
        """
        import pytest

        def test_bare(embed_model):
            pass

        @pytest.mark.embedbench
        def test_marked(embed_model):
            pass

        @pytest.mark.embedbench(models=["bm25"])
        def test_models(embed_model):
            pass

        @pytest.mark.embedbench(datasets=["other"])
        def test_datasets(embed_model):
            pass
        """,
    )
    names = [line for line in project.run("test_it.py", "--collect-only", "-q").outlines if "::" in line]
    assert names == [
        "test_it.py::test_bare[minilm-facts]",
        "test_it.py::test_marked[minilm-facts]",
        "test_it.py::test_models[bm25-facts]",
        "test_it.py::test_datasets[minilm-other]",
    ]


def test_a_marker_may_name_what_the_suite_defines(project: Project) -> None:
    project.data()
    project.model()
    project.write(
        "embedbench.toml",
        """
        [embedbench]
        models = ["minilm"]
        datasets = ["renamed"]
        dtype = "bf16"

        [models.mine]
        path = "copy"

        [datasets.renamed]
        path = "facts"
        """,
    )
    code = """
        import pytest

        @pytest.mark.embedbench(models=["mine"], datasets=["renamed"])
        def test_it(embed_evaluation):
            assert embed_evaluation["recall@1"] == 0.75

        @pytest.mark.embedbench(datasets=["renamed"])
        def test_half(embed_evaluation):
            assert embed_evaluation["recall@1"] == 0.75

        @pytest.mark.embedbench(models=["mine"])
        def test_other_half(embed_model):
            assert embed_model.facts.dtype == "bf16"
        """
    project.write("test_it.py", code)
    result = project.run("test_it.py", "-v")
    result.stdout.fnmatch_lines(
        [
            "*test_it?mine-renamed? PASSED*",
            "*test_half?minilm-renamed? PASSED*",
            "*test_other_half?mine-renamed? PASSED*",
        ]
    )


def test_the_command_line_overrides_suite_and_marker(project: Project) -> None:
    pytest.importorskip("bm25s")
    project.data("other")
    project.suite("ndcg@10 >= 0.1")
    project.write(
        "test_it.py",
        """
        import pytest

        def test_bare(embed_model):
            pass

        @pytest.mark.embedbench(models=["minilm"], datasets=["facts"])
        def test_marked(embed_model):
            pass
        """,
    )
    arguments = ("test_it.py", "--embed-model=bm25", "--embed-dataset=other", "--collect-only", "-q")
    names = [line for line in project.run(*arguments).outlines if "::" in line]
    assert names == ["test_it.py::test_bare[bm25-other]", "test_it.py::test_marked[bm25-other]"]


def test_python_tests_count_as_embedbench_items(project: Project) -> None:
    project.suite("ndcg@10 >= 0.1")
    project.write(
        "test_it.py", "def test_it(embed_dataset):\n    assert embed_dataset.doc_ids\n\ndef test_other():\n    pass\n"
    )
    project.run("--embed-only").assert_outcomes(passed=2, deselected=1)
    project.run("-m", "embedbench").assert_outcomes(passed=2, deselected=1)


def test_a_data_path_in_a_marker_holds_wherever_pytest_starts(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("pytest.ini", "[pytest]\n")
    project.data("data/facts")
    project.write(
        "tests/test_it.py",
        """
        import pytest

        @pytest.mark.embedbench(models=["minilm"], datasets=["data/facts"])
        def test_it(embed_dataset):
            assert embed_dataset.doc_ids
        """,
    )
    project.run().assert_outcomes(passed=1)
    monkeypatch.chdir(project.folder / "tests")
    project.run().assert_outcomes(passed=1)


def test_hooks_add_models_and_datasets(project: Project) -> None:
    project.data("deep/facts")
    project.model()
    project.write(
        "conftest.py",
        """
        def pytest_embedbench_models(config):
            return {"ours": {"path": "copy", "name": "us/ours", "licence": "MIT"}}

        def pytest_embedbench_datasets(config):
            return {"nested": {"path": "deep/facts", "description": "Facts below deep"}}
        """,
    )
    result = project.run("--embed-model=ours", "--embed-dataset=nested", "-k", "ndcg", "-v")
    result.stdout.fnmatch_lines(["embedbench-default.toml::ours::nested::quality?ndcg@10? PASSED*"])
    text = project.card_text("us__ours")
    assert "| License | MIT |" in text
    assert "Facts below deep" in text


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{'ours': {'pth': 'copy'}}", "pytest_embedbench_models: ours"),
        ("{'ours': {'path': 7}}", "pytest_embedbench_models: ours"),
        ("{'ours': {'path': 'nowhere'}}", "no such folder"),
    ],
)
def test_what_a_hook_returns_is_checked(project: Project, entry: str, message: str) -> None:
    project.suite("ndcg@10 >= 0.1")
    project.write("conftest.py", f"def pytest_embedbench_models(config):\n    return {entry}\n")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in project.text(result)
    assert "Traceback" not in project.text(result)
