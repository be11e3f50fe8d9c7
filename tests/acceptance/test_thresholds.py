"""Verdicts: passed, failed with an explanation, skipped with a reason; limits at equality."""

from __future__ import annotations

import contextlib
import csv
import re
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.load.quantiles import percentile
from pytest_embedbench.machine.other_work import OtherWork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.acceptance.conftest import Project


@pytest.mark.parametrize(
    ("operator", "verdict"), [(">=", "pass"), (">", "FAIL"), ("<=", "pass"), ("<", "FAIL")]
)  # fmt: skip
def test_operators_at_equality(project: Project, operator: str, verdict: str) -> None:
    project.suite(f"recall@1 {operator} 0.75")
    result = project.run()
    assert project.table(result) == [
        {
            "model": "minilm",
            "dataset": "facts",
            "check": "recall@1",
            "measured": "0.7500",
            "limit": f"{operator} 0.75",
            "verdict": verdict,
        }
    ]
    assert result.ret == (verdict == "FAIL")


def test_a_failure_shows_the_worst_queries_and_no_traceback(project: Project) -> None:
    project.suite("ndcg@10 >= 0.99", "recall@1 >= 0.1")
    result = project.run()
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*= FAILURES =*",
            "*minilm on facts: quality?ndcg@10?*",
            "ndcg@10 is 0.9077, must be >= 0.99",
            "lowest-scoring queries:",
            "  0.6309  q4  'what did a medieval castle look like'",
            "          ranked first: castle 'Medieval castles had thick stone walls, a moat and a ...'; first relevant document at rank *",
            "  1.0000  q*",
        ]
    )
    text = project.text(result)
    for unwanted in ("Traceback", "CheckFailed(", "collect.py", "raise "):
        assert unwanted not in text
    result.stdout.fnmatch_lines(
        ["FAILED embedbench.toml::minilm::facts::quality?ndcg@10? - ndcg@10 is 0.9077, must be*"]
    )


def test_no_judgments_fail_a_threshold_and_leave_the_budget(project: Project) -> None:
    project.suite("ndcg@10 >= 0", more="[[checks]]\nprofile = 'b1 c1'\n")
    project.data(qrels=None)
    (project.folder / "facts" / "qrels" / "test.tsv").unlink()
    result = project.run("-rs")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["facts cannot be scored, so that ndcg@10 >= 0 cannot be checked: */facts/qrels: no judgments: *"]
    )
    quality, budget = project.table(result)
    assert quality["verdict"] == "FAIL"
    assert budget["verdict"] == "-"
    assert project.result().scores == {}
    assert "Quality" not in project.card_text()


def test_a_budget_binds_only_on_its_hardware(project: Project) -> None:
    project.suite(
        more="""
        [[checks]]
        profile = "b1 c2"
        hardware = "L4"
        budget = ["query mean <= 0.000001 ms", "corpus throughput >= 1 tok/s"]
        """
    )
    result = project.run("-k", "budget", "-rs")
    result.assert_outcomes(skipped=2, deselected=1)
    result.stdout.fnmatch_lines(["SKIPPED*binds on L4; this is *"])
    late, fast = project.table(result)
    assert late["verdict"].startswith("skip: binds on L4; this is ")
    assert late["measured"].endswith(" ms"), "what it would have had is shown"
    assert fast["measured"].endswith(" tok/s")


def test_budgets_on_this_hardware_pass_and_fail(project: Project) -> None:
    project.suite(
        more="""
        [[checks]]
        profile = "b2 c1"
        budget = [
            "query mean <= 100 s",
            "query max < 0.000001 ms",
            "query p99 <= 100 s",
            "corpus throughput >= 0.001 texts/s",
            "corpus throughput >= 1e12 tok/s",
            "cold start <= 1000 s",
            "memory <= 1000 GB",
            "memory <= 1 MB",
        ]
        """
    )
    result = project.run("-m", "embedbench(kind='budget')")
    assert [(row["check"], row["limit"], row["verdict"]) for row in project.table(result)] == [
        ("b2 c1 query mean", "<= 100 s", "pass"),
        ("b2 c1 query max", "< 1e-06 ms", "FAIL"),
        ("b2 c1 query p99", "<= 100 s", "pass"),
        ("b2 c1 corpus throughput", ">= 0.001 texts/s", "pass"),
        ("b2 c1 corpus throughput", ">= 1,000,000,000,000 tok/s", "FAIL"),
        ("b2 c1 cold start", "<= 1,000 s", "pass"),
        ("b2 c1 memory", "<= 1,000 GB", "pass"),
        ("b2 c1 memory", "<= 1 MB", "FAIL"),
    ]
    result.stdout.fnmatch_lines(
        ["b2 c1 corpus throughput is * tok/s, must be >= 1,000,000,000,000 tok/s: less than 1% of the limit*"]
    )
    assert "query p99 is " in project.text(result)
    assert re.search(r"must be <= 100 s: .*; from \d texts, each sent \d+( or \d+)? times", project.text(result))


def test_other_work_on_the_machine_is_a_note_everywhere(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the verdict, in the result, on the card and on the leaderboard; the budget itself is judged as always."""

    @contextlib.contextmanager
    def busy(*_: object) -> Iterator[Callable[[], OtherWork]]:
        yield lambda: OtherWork(1.25, 4, 0.5)

    monkeypatch.setattr("pytest_embedbench.load.circumstances.watched_others", busy)
    budget = '["query p50 <= 100 s", "memory <= 1000 GB", "max rate >= 0.001 /s at p99 <= 100 ms"]'
    project.suite(more=f"[[checks]]\nprofile = 'b1 c1'\nbudget = {budget}\n")
    result = project.run("-k", "budget", "--embed-profile-seconds=0.1", "--embed-leaderboard=board")
    result.assert_outcomes(passed=3, deselected=1)
    said = "the machine was busy: other processes used 1.2 of 4 cores and the hypervisor gave 50% of its time to others"
    told = [line for line in project.text(result).splitlines() if line.startswith("minilm on facts: b1")]
    assert [line.endswith(f"; {said}") for line in told] == [True, False, True]
    details = project.result().embedbench
    assert details.profiles["b1 c1"].note.endswith(said)
    circumstances = details.profiles["b1 c1"].circumstances
    assert circumstances is not None
    assert (circumstances.busy_cores, circumstances.cores, circumstances.stolen_share) == (1.25, 4, 0.5)
    (card,) = (project.folder / "embedbench-out" / "cards").glob("*.md")
    page = card.read_text("utf-8")
    assert f"b1 c1: {said}" in page
    assert f"Highest rate of query at 1: {said}" in page
    board = (project.folder / "board" / "index.md").read_text("utf-8")
    assert f"minilm on facts: its latency was measured while {said}" in board


def test_a_percentile_without_its_samples_is_no_green_gate(project: Project) -> None:
    project.suite(more="[[checks]]\nprofile = 'b1 c1'\nbudget = ['query p99 <= 100 s']\n")
    result = project.run("-k", "budget", "--embed-profile-seconds=0.00000001")
    result.assert_outcomes(failed=1, deselected=1)
    text = project.text(result)
    assert "b1 c1 query p99 must be <= 100 s, which cannot be decided: query p99 needs 368 samples, there are " in text
    assert "fix: measure longer, with --embed-profile-seconds=" in text


def test_max_rates_are_found_and_kept_with_their_samples(project: Project) -> None:
    project.suite(
        more="""
        [[checks]]
        profile = "b1 c16"
        budget = [
            "max rate >= 0.001 /s at p99 <= 300 ms",
            "query max rate >= 0.002 requests/s at p99 <= 0.3 s",
            "corpus max rate >= 1e9 /s at p99 <= 0.001 ms",
        ]
        [[checks]]
        profile = "b1 c2"
        hardware = "L4"
        budget = ["max rate >= 1e9 /s at p99 <= 300 ms"]
        """
    )
    result = project.run("-k", "budget", "--embed-profile-seconds=0.1")
    result.assert_outcomes(passed=2, failed=1, skipped=1, deselected=1)
    found = {(row["check"], row["limit"]): row["verdict"].partition(";")[0] for row in project.table(result)}
    assert found == {
        ("b1 query max rate", ">= 0.001 /s at p99 <= 300 ms"): "pass",
        ("b1 query max rate", ">= 0.002 requests/s at p99 <= 0.3 s"): "pass",
        ("b1 corpus max rate", ">= 1,000,000,000 /s at p99 <= 0.001 ms"): "FAIL",
        ("b1 query max rate", ">= 1,000,000,000 /s at p99 <= 300 ms"): "skip: binds on L4",
    }
    told = project.text(result)
    assert "distinct texts, sent again, time was up" in told
    details = project.result().embedbench
    assert details.profiles == {}, "a max rate has a load of its own"
    assert set(details.max_rates) == {"b1 query at p99 <= 300 ms", "b1 corpus at p99 <= 0.001 ms"}
    for key, (side, file) in {
        "b1 query at p99 <= 300 ms": ("query", "facts.b1.query.max-rate-p99-300ms.csv"),
        "b1 corpus at p99 <= 0.001 ms": ("corpus", "facts.b1.corpus.max-rate-p99-0.001ms.csv"),
    }.items():
        assert details.evidence.samples[key] == {side: file}
        rows = list(csv.DictReader((project.result_path().parent / file).read_text("utf-8").splitlines()))
        probes = details.max_rates[key].found.probes
        assert len(rows) == sum(probe.requests for probe in probes)
        latencies = [
            float(row["latency_ms"])
            for row in rows
            if float(row["rate_per_s"]) == pytest.approx(probes[-1].rate, rel=1e-5)
        ]
        if probes[-1].p99_ms is not None:
            assert percentile(sorted(latencies), 0.99) == pytest.approx(probes[-1].p99_ms, abs=1e-3)
    assert details.max_rates["b1 query at p99 <= 300 ms"].found.rate > 0
    assert details.max_rates["b1 corpus at p99 <= 0.001 ms"].found.rate == 0
    again = project.run("-k", "quality")
    again.assert_outcomes(passed=1, deselected=4)
    assert project.result().embedbench.max_rates == details.max_rates, "another run keeps what it does not measure"


def test_a_lexical_reference_has_no_load_profile(project: Project) -> None:
    pytest.importorskip("bm25s")
    project.data()
    result = project.run("--embed-model=bm25", "--embed-dataset=facts", "-k", "budget")
    result.assert_outcomes(skipped=1, deselected=4)
    (row,) = project.table(result)
    assert row["verdict"] == "skip: a lexical reference has no load profile"


def test_checks_bind_on_the_pairs_that_they_name(project: Project) -> None:
    pytest.importorskip("bm25s")
    project.data("one")
    project.data("two")
    project.write(
        "embedbench.toml",
        """
        [embedbench]
        models = ["minilm", "bm25"]
        datasets = ["one", "two"]

        [[checks]]
        model = "all-MiniLM-*"
        quality = ["recall@1 >= 0.75"]

        [[checks]]
        model = ["BM25"]
        dataset = "two"
        quality = ["mrr@10 >= 0.5"]
        """,
    )
    found = {(row["model"], row["dataset"], row["check"], row["verdict"]) for row in project.table(project.run())}
    assert found == {
        ("minilm", "one", "recall@1", "pass"),
        ("minilm", "two", "recall@1", "pass"),
        ("bm25", "one", "ndcg@10", "-"),
        ("bm25", "two", "mrr@10", "pass"),
    }
