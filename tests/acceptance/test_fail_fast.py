"""``--embed-fail-fast``: a pair ends once failing is proven, with the verdicts of the whole run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

WORDS = ("volcano", "whale", "bread", "castle", "violin", "tea", "comet", "harbour", "glacier", "orchid")


def library(project: Project, *quality: str, more: str = "") -> None:
    """400 documents of ten subjects and ten queries; each query's one relevant document is of another subject."""
    docs = {f"{word}{number}": f"About the {word}, part {number}." for word in WORDS for number in range(40)}
    queries = {f"q{place}": f"the {word}" for place, word in enumerate(WORDS)}
    wrong = {f"q{place}": {f"{WORDS[(place + 1) % 10]}7": 1} for place in range(10)}
    project.data("library", docs=docs, queries=queries, qrels=wrong)
    project.write(
        "embedbench.toml",
        f'[embedbench]\nmodels = ["minilm"]\ndatasets = ["library"]\n[[checks]]\nquality = {json.dumps(quality)}\n{more}',
    )


def test_a_proven_failure_ends_the_evaluation(project: Project) -> None:
    library(project, "ndcg@10 >= 0.5", "precision@10 <= 0.9")
    fast = project.run("--embed-fail-fast")
    fast.assert_outcomes(failed=1, skipped=1)
    failed, other = project.table(fast)
    assert (failed["check"], failed["limit"], failed["verdict"]) == ("ndcg@10", ">= 0.5", "FAIL")
    assert failed["measured"].startswith("<= 0.")
    text = project.text(fast)
    assert "% of the corpus, must be >= 0.5" in text
    share = int(text.partition("% of the corpus, must be >= 0.5")[0].rpartition("after ")[2])
    assert share < 90, "it ended early"
    assert "documents are judged relevant to some query; a failure cannot be proven before about" in text
    assert "the evaluation was ended early" in other["verdict"]
    assert not list((project.folder / "embedbench-out" / "results").rglob("library.json")), (
        "no part passes for a result"
    )
    whole = project.run()
    whole.assert_outcomes(failed=1, passed=1)


def test_a_kept_limit_gives_the_run_and_numbers_of_the_whole(project: Project) -> None:
    library(project, "ndcg@10 >= 0.0")
    project.run("--embed-fail-fast", "--embed-results=fast", "--embed-no-cache").assert_outcomes(passed=1)
    project.run("--embed-results=whole", "--embed-no-cache").assert_outcomes(passed=1)
    fast, whole = (project.result("library", below=project.folder / name) for name in ("fast", "whole"))
    assert fast.embedbench.means == whole.embedbench.means
    assert fast.embedbench.key == whole.embedbench.key
    for name in ("corpus_own_tokens", "corpus_tokens"):
        assert fast.embedbench.effort[name] == whole.embedbench.effort[name]


def test_what_was_encoded_is_not_lost(project: Project) -> None:
    library(project, "ndcg@10 >= 0.5")
    project.run("--embed-fail-fast")
    project.run("-k", "quality")
    effort = project.result("library").embedbench.effort
    assert 0 < effort["corpus_cached_texts"] < 400


def test_limits_that_were_not_selected_end_nothing(project: Project) -> None:
    library(project, "ndcg@10 >= 0.5", "precision@10 <= 0.9")
    project.run("--embed-fail-fast", "-k", "precision").assert_outcomes(passed=1, deselected=1)


def test_a_pair_of_a_python_test_is_evaluated_whole(project: Project) -> None:
    library(project, "ndcg@10 >= 0.5")
    project.write(
        "test_own.py",
        """
        import pytest

        @pytest.mark.embedbench(models=["minilm"], datasets=["library"])
        def test_own(embed_evaluation):
            assert len(embed_evaluation.run) == 10
        """,
    )
    result = project.run("--embed-fail-fast")
    result.assert_outcomes(failed=1, passed=1)
    assert project.table(result)[0]["measured"].startswith("0."), "the value itself, not a bound"


def test_a_stored_run_of_the_same_data_says_where_to_look_first(project: Project) -> None:
    library(project, "ndcg@10 >= 0.5")
    project.run()
    fast = project.run("--embed-fail-fast", "--embed-fresh")
    fast.assert_outcomes(failed=1)
    assert "of the corpus, must be >= 0.5" in project.text(fast)


@pytest.mark.parametrize(
    ("model", "why"), [("minilm@int8", "int8 vectors can differ by a whole step between runs"), ("bm25", "")]
)
def test_where_nothing_can_be_proven_the_whole_run_decides(project: Project, model: str, why: str) -> None:
    library(project, "ndcg@10 >= 0.9")
    result = project.run("--embed-fail-fast", f"--embed-model={model}")
    result.assert_outcomes(failed=1)
    assert project.table(result)[0]["measured"].startswith("0.")
    assert why in project.text(result)


def test_with_workers_the_verdicts_are_the_same(project: Project) -> None:
    pytest.importorskip("xdist")
    library(project, "ndcg@10 >= 0.5", "precision@10 <= 0.9")
    project.spawn("--embed-fail-fast", "-n2").assert_outcomes(failed=1, skipped=1)
