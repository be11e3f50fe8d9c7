"""What a session shows and writes: header, verdict table, notes, junit file, help."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.acceptance.conftest import DOCS

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

QUALITY = ("recall@1 >= 0.75", "ndcg@10 >= 0.99")
BUDGET = """
    [[checks]]
    profile = "b1 c1"
    hardware = "L4"
    budget = ["query mean <= 1 ms"]
"""


def test_the_verdict_table(project: Project) -> None:
    project.suite(*QUALITY, more=BUDGET)
    result = project.run()
    recall, ndcg, budget = project.table(result)
    assert recall == {
        "model": "minilm", "dataset": "facts", "check": "recall@1", "measured": "0.7500", "limit": ">= 0.75", "verdict": "pass"
    }  # fmt: skip
    assert (ndcg["measured"], ndcg["limit"], ndcg["verdict"]) == ("0.9077", ">= 0.99", "FAIL")
    assert budget["check"] == "b1 c1 query mean"
    assert re.fullmatch(r"[\d,.]+ ms", budget["measured"])
    assert budget["verdict"].startswith("skip: binds on L4; this is ")
    result.stdout.fnmatch_lines(
        ["*= embedbench =*", "model *verdict", "result: embedbench-out/results/*", "card: *.md"]
    )


def test_a_measure_without_a_limit_is_reported(project: Project) -> None:
    project.suite(more="[[checks]]\nprofile = 'b1 c1'\n")
    quality, speed = project.table(project.run())
    assert (quality["measured"], quality["limit"], quality["verdict"]) == ("0.9077", "", "-")
    assert re.fullmatch(r"query mean [\d.,]+ ms, corpus [\d,]+ tok/s", speed["measured"])


def test_the_header_says_what_will_run_and_where_results_go(project: Project) -> None:
    project.suite(*QUALITY)
    result = project.run("--embed-model=minilm", "--embed-results=kept", "--collect-only")
    result.stdout.fnmatch_lines(
        ["embedbench: embedbench.toml; models: minilm; datasets: facts", "embedbench results: kept"]
    )


def test_quiet(project: Project) -> None:
    project.suite("recall@1 >= 0.75")
    result = project.run("--embed-model=minilm", "-q")
    text = project.text(result)
    assert "embedbench results:" not in text, "no header"
    assert len(project.table(result)) == 1
    assert result.outlines[0].startswith(".")


def test_no_summary_without_embedbench_items(project: Project) -> None:
    project.suite("recall@1 >= 0.75")
    project.write("test_ordinary.py", "def test_ordinary():\n    pass\n")
    assert "embedbench =" not in project.text(project.run("test_ordinary.py"))


def test_notes_on_what_is_wrong_with_a_dataset(project: Project) -> None:
    project.suite("recall@1 >= 0.1")
    project.data(
        docs={"a": "a volcano erupts", "b": "a volcano erupts", "c": ""},
        queries={"q1": "volcano", "q2": "nobody judged this", "q3": "nothing found"},
        qrels={"q1": {"a": 1, "lost": 1}, "q3": {"b": 0}, "ghost": {"a": 1}},
    )
    result = project.run()
    notes = {line.partition(": facts: ")[2] for line in result.outlines if line.startswith("note: facts: ")}
    for part in (
        "documents are empty", "documents repeat another one's text", "judged queries are not among the queries",
        "relevant documents are not in the corpus", "queries have no judgment",
        "judged queries have no relevant document",
    ):  # fmt: skip
        assert [note for note in notes if note.startswith(part) and "(1, first: " in note], part
    assert any("(1, first: lost)" in note for note in notes)
    assert project.result().embedbench.dataset.queries == 1


def test_junit_properties(project: Project) -> None:
    project.suite(*QUALITY, more=BUDGET)
    project.run("--junitxml=junit.xml")
    cases = ET.parse(project.folder / "junit.xml").getroot().findall(".//testcase")  # noqa: S314 - our own file
    found = {
        case.get("name"): {prop.get("name"): prop.get("value") for prop in case.findall("properties/property")}
        for case in cases
    }
    assert set(found) == {"quality[recall@1]", "quality[ndcg@10]", "budget[b1-c1-query-mean]"}
    failed = found["quality[ndcg@10]"]
    assert failed["embedbench_model"] == "minilm"
    assert failed["embedbench_dataset"] == "facts"
    assert failed["embedbench_check"] == "ndcg@10"
    assert failed["embedbench_measured"] == "0.9077"
    assert failed["embedbench_limit"] == ">= 0.99"
    assert failed["embedbench_verdict"] == "failed"
    assert float(failed["embedbench_value"] or "") == project.result().embedbench.means["ndcg@10"]
    assert failed["embedbench_reused"] == "no"
    assert (failed["embedbench_result"] or "").endswith("facts.json")
    assert found["quality[recall@1]"]["embedbench_verdict"] == "passed"
    budget = found["budget[b1-c1-query-mean]"]
    assert budget["embedbench_verdict"] == "skipped"
    assert float(budget["embedbench_value"] or "") > 0
    (failure,) = [case.find("failure") for case in cases if case.find("failure") is not None]
    assert failure is not None
    assert (failure.text or "").startswith("ndcg@10 is 0.9077, must be >= 0.99\nlowest-scoring queries:")
    assert {case.get("classname") for case in cases} == {"embedbench.toml.minilm.facts"}


OPTIONS = (
    "model", "dataset", "suite", "profile", "profile-seconds", "energy", "fail-fast", "no-conformance", "only", "results", "card",
    "card-template", "leaderboard", "summary", "baseline", "update-baseline", "device", "dtype", "patience", "batch-tokens",
    "offline", "fresh", "cache", "no-cache",
)  # fmt: skip


def test_help_describes_every_option(project: Project) -> None:
    text = project.text(project.run("--help"))
    section = text.partition("embedding models (pytest-embedbench):")[2]
    options = re.findall(r"^  --embed-([\w-]+)", section, re.MULTILINE)
    assert tuple(options) == OPTIONS
    words = re.split(r"^  --embed-", section, flags=re.MULTILINE)[1:]
    assert all(len(option.split()) >= 4 for option in words), "each says something"
    assert re.search(r"embedbench_results \(string\):\s+Default of --embed-results", text)
    assert re.search(r"embedbench_card \(string\):\s+Default of --embed-card", text)


def test_markers_describes_the_marker(project: Project) -> None:
    text = " ".join(project.text(project.run("--markers")).split())
    assert "@pytest.mark.embedbench(models=[...], datasets=[...]): run the test once for each model" in text
    assert "-m \"embedbench(kind='quality')\"" in text


def test_fixtures_describes_every_fixture(project: Project) -> None:
    lines = project.run("--fixtures").outlines
    for name in ("embed_pair", "embed_model", "embed_dataset", "embed_evaluation", "embed_profile"):
        (place,) = [number for number, line in enumerate(lines) if re.match(rf"{name}\b", line)]
        assert len(lines[place + 1].split()) >= 5, f"{name} has a text"


def test_the_summary_survives_a_result_that_went_away(project: Project) -> None:
    project.suite("recall@1 >= 0.75")
    project.write(
        "conftest.py",
        """
        import pathlib

        def pytest_runtest_teardown(item, nextitem):
            for path in pathlib.Path("embedbench-out").rglob("facts.json"):
                path.write_text("{")
        """,
    )
    result = project.run()
    text = project.text(result)
    assert "INTERNALERROR" not in text
    assert "Traceback" not in text
    assert len(project.table(result)) == 1
    assert "not a pytest-embedbench result" in text
    assert result.ret == pytest.ExitCode.OK


def test_texts_that_are_cut_are_told(project: Project) -> None:
    project.suite()
    project.data(docs={**DOCS, "long": "a long story without an end " * 100})
    note = "note: minilm on facts: 1 of 7 corpus texts (14%) fill the 256 tokens that the model takes; what is longer is cut"
    assert note in project.text(project.run())
    assert note in project.text(project.run())  # of a stored result too
    assert project.result().embedbench.effort["corpus_full_texts"] == 1
