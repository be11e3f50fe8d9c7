"""The markdown summary: for a CI step's page and as a file; what cannot be written changes nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from pytest_embedbench.reports.markdown_summary import CUT_NOTE, MAX_BYTES, Summary, SummaryLine, markdown, publish

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Project

pytest.importorskip("bm25s")

SUITE = """
    [embedbench]
    models = ["bm25"]
    datasets = ["facts"]

    [[checks]]
    quality = ["recall@1 >= 0.5", "ndcg@10 >= 0.99"]
"""


def write(project: Project) -> None:
    project.data()
    project.write("embedbench.toml", SUITE)


def test_a_step_gets_the_table_with_failures_first_and_explained(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project)
    step = project.write("step.md", "from an earlier command\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    assert project.run("--embed-summary=out/fresh.md").ret == pytest.ExitCode.TESTS_FAILED
    fresh = (project.folder / "out" / "fresh.md").read_text("utf-8")
    assert step.read_text("utf-8") == f"from an earlier command\n\n{fresh}"

    lines = fresh.splitlines()
    assert lines[0] == "## embedbench: 1 failed, 1 passed"
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    means = project.result(model="*bm25").embedbench.means
    assert table[2][1:] == ["bm25", "facts", "ndcg@10", f"{means['ndcg@10']:.4f}", "\\>= 0.99"]
    assert table[2][0].endswith("FAIL")
    assert table[3][3] == "recall@1"
    folded = fresh.partition("<details>")[2].partition("</details>")[0]
    assert "<summary>bm25 on facts: ndcg@10:" in folded
    assert f"ndcg@10 is {means['ndcg@10']:.4f}, must be &gt;= 0.99\nlowest-scoring queries:" in folded
    assert fresh.count("<details>") == 1
    shown = fresh.replace("\\_", "_")
    assert "- result: embedbench-out/results/embedbench__bm25/" in shown
    assert "- card: embedbench-out/cards/embedbench__bm25.md" in shown

    assert project.run("--embed-summary=out/fresh.md").ret == pytest.ExitCode.TESTS_FAILED
    again = (project.folder / "out" / "fresh.md").read_text("utf-8")
    assert again.count("## embedbench") == 1, "the file is written anew"
    assert step.read_text("utf-8").count("## embedbench") == 2, "and the step's is added to"


def test_with_xdist_the_controller_writes_it_once_and_junit_has_all_properties(project: Project) -> None:
    pytest.importorskip("xdist")
    write(project)
    project.write("test_mine.py", "def test_mine(embed_evaluation):\n    assert embed_evaluation['recall@1'] > 2\n")
    result = project.spawn("-n", "2", "--embed-summary=all.md", "--junitxml=junit.xml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = (project.folder / "all.md").read_text("utf-8")
    assert text.startswith("## embedbench: 2 failed, 1 passed\n")
    assert "test_mine\\[bm25-facts\\]" in text
    assert "embed_evaluation[&#x27;recall@1&#x27;]" in text, "the traceback is folded there"
    cases = ET.parse(project.folder / "junit.xml").getroot().findall(".//testcase")  # noqa: S314 - our own file
    found = {
        case.get("name"): [(prop.get("name"), prop.get("value")) for prop in case.findall("properties/property")]
        for case in cases
    }
    assert set(found) == {"quality[recall@1]", "quality[ndcg@10]", "test_mine[bm25-facts]"}
    for name, properties in found.items():
        assert len(dict(properties)) == len(properties), "each once"
        assert ("embedbench_model", "bm25") in properties, name
        assert ("embedbench_dataset", "facts") in properties, name
        assert dict(properties)["embedbench_result"], name
    assert dict(found["quality[ndcg@10]"])["embedbench_verdict"] == "failed"
    assert dict(found["quality[ndcg@10]"])["embedbench_value"]


def test_a_pair_that_breaks_is_in_it_too(project: Project) -> None:
    write(project)
    corpus = project.folder / "facts" / "corpus.jsonl"
    corpus.write_text(corpus.read_text("utf-8") + '{"_id": "cut', "utf-8")
    project.write("test_mine.py", "def test_mine(embed_evaluation):\n    pass\n")
    result = project.run("--embed-summary=all.md", "--junitxml=junit.xml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = (project.folder / "all.md").read_text("utf-8")
    assert text.startswith("## embedbench: 1 failed, 2 skipped\n")
    assert "bm25 on facts: ndcg@10" in text
    assert text.count("not run: see ") == 2
    assert (project.folder / "junit.xml").read_text("utf-8").count('name="embedbench_model" value="bm25"') == 3


def test_other_sessions_write_none(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    step = project.folder / "step.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    project.write("test_ordinary.py", "def test_ordinary():\n    pass\n")
    assert project.run("--embed-summary=all.md").ret == 0
    assert not step.exists()
    assert not (project.folder / "all.md").exists()


@pytest.mark.parametrize("place", ["missing/step.md", "."])
def test_a_summary_that_cannot_be_written_is_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    project.data()
    project.write("embedbench.toml", SUITE.replace("0.99", "0.1"))
    project.write("file", "")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.folder / place))
    result = project.run("--embed-summary=file/all.md")
    assert result.ret == pytest.ExitCode.OK
    said = [line for line in result.outlines if line.startswith("summary: not written: ")]
    assert len(said) == 2
    assert "file/all.md" in said[0]
    assert "Traceback" not in project.text(result)


HOSTILE = "<img src=x>|`**a**`\n# b [c](javascript:d) \ud800"


def test_names_cannot_break_out_of_their_place() -> None:
    line = SummaryLine(HOSTILE, "d", "c", "failed", "1", ">= 2", f"why\n\n</pre></details><script>{HOSTILE}")
    text = markdown(Summary([line], [f"note: {HOSTILE}"]))
    assert not re.search(r"(?<!\\)<(img|script)", text), "neither as HTML"
    assert text.count("</details>") == 1
    (row,) = [row for row in text.splitlines() if "FAIL |" in row]
    assert row.replace("\\|", "").count("|") == 7
    assert "\\[c\\]" in row
    assert not [row for row in text.splitlines() if row.startswith("# b")][1:], "in the explanation only"


def test_what_is_too_large_is_cut_with_a_statement(tmp_path: Path) -> None:
    lines = [SummaryLine("m", "d", f"c{number}", "failed", explanation="x" * 30_000) for number in range(100)]
    lines.append(SummaryLine("m", "d", "good", "passed"))
    text = markdown(Summary(lines, ["note: n"]))
    assert MAX_BYTES - 30_000 < len(text.encode()) <= MAX_BYTES
    assert text.endswith(CUT_NOTE)
    assert text.count("\n| ") == 102, "the table is whole"
    assert text.count("<details>") == text.count("</details>")
    assert "... and 10,000 characters more" in text

    step = tmp_path / "step.md"
    step.write_bytes(b"y" * (MAX_BYTES - 60_000))
    assert publish(Summary(lines), None, step) == []
    assert MAX_BYTES - 60_000 < step.stat().st_size <= MAX_BYTES
    step.write_bytes(b"y" * (MAX_BYTES - 10))
    (problem,) = publish(Summary(lines), None, step)
    assert "1,048,566 bytes already" in problem
    assert step.stat().st_size == MAX_BYTES - 10


def test_one_file_for_both_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "step.md"
    assert publish(Summary([]), path, path) == []
    assert path.read_text("utf-8") == "## embedbench: nothing checked\n"
