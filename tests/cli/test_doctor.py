"""``embedbench doctor``: what it prints, its exit codes, and the same findings in a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from pytest_embedbench.cli import main

if TYPE_CHECKING:
    from tests.conftest import MakeBeir

HEADER = "query-id\tcorpus-id\tscore\n"
LEAKED = [{"_id": "q1", "text": "SECOND"}]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def doctor(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["doctor", *map(str, arguments)])


def told(*arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(doctor(*arguments, "--json").stdout)
    return found


def test_a_sound_dataset(make_beir: MakeBeir) -> None:
    done = doctor(make_beir())
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "data, split test"
    assert lines[1].split() == ["documents", "2"]
    assert lines[2].split(maxsplit=1) == ["queries", "1 with a relevant document"]
    assert lines[3].split(maxsplit=1) == ["judgments", "1 (grade 1: 1)"]
    assert lines[-1] == "0 errors, 0 warnings"


def test_an_error_with_its_count_first_case_and_fix(make_beir: MakeBeir) -> None:
    done = doctor(make_beir(qrels=f"{HEADER}q1\td1\t1\nq1\tlost\t1\nq1\tgone\t1\n"))
    assert done.exit_code == 1
    message = "relevant documents are not in the corpus; they count as relevant, but no ranking can find them"
    assert f"error: missing-judged-documents: {message} (2, first: lost)\n  fix: add them, or" in done.stdout
    assert done.stdout.endswith("1 error, 0 warnings\n")


def test_warnings_alone_are_no_failure(make_beir: MakeBeir) -> None:
    done = doctor(make_beir(qrels="q1\td1\t1\n"))
    assert done.exit_code == 0
    assert "warning: qrels-without-header: test.tsv has no header line" in done.stdout
    assert "  fix: write these three words" in done.stdout
    assert done.stdout.endswith("0 errors, 1 warning\n")


def test_ids_that_stand_twice(make_beir: MakeBeir) -> None:
    docs = [{"_id": "d1", "text": "first"}, {"_id": "d1", "text": "second"}]
    queries = [{"_id": "q1", "text": "which"}, {"_id": "q1", "text": "who"}]
    done = doctor(make_beir(docs=docs, queries=queries))
    assert done.exit_code == 1
    assert "error: repeated-document-ids: " in done.stdout
    assert "error: repeated-query-ids: " in done.stdout


def test_json(make_beir: MakeBeir) -> None:
    folder = make_beir(queries=LEAKED)
    done = doctor(folder, "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["dataset"], found["split"], found["documents"], found["grades"]) == ("data", "test", 2, {"1": 1})
    assert found["characters"]["documents"]["longest"] == len("One first")
    (finding,) = found["findings"]
    assert (finding["code"], finding["level"], finding["count"]) == ("leaked-queries", "error", 1)
    assert finding["first"] == "query q1, document d2 (not relevant)"
    assert finding["fix"]


def test_tokens_of_a_model(make_beir: MakeBeir, minilm_folder: Path) -> None:
    docs = [{"_id": "d1", "text": "word " * 300}, {"_id": "d2", "text": "word"}]
    folder = make_beir(docs=docs)
    done = doctor(folder, "--model", minilm_folder)
    assert done.exit_code == 0
    assert "3 to 302; p50 152, p90 272, p99 299; 50.0% are longer than 256 (model)" in done.stdout
    assert "warning: cut-documents: documents (50.0% of 2) are longer than the 256 tokens of model" in done.stdout
    assert told(folder, "--model", minilm_folder)["tokens"]["documents"]["cut"] == 1


def test_no_model_library_is_imported_to_count_tokens(
    make_beir: MakeBeir, minilm_folder: Path, pytester: pytest.Pytester
) -> None:
    code = (
        "import sys; from pytest_embedbench.cli import main; main(sys.argv[1:], standalone_mode=False); "
        "print([name for name in ('torch', 'transformers', 'sentence_transformers') if name in sys.modules])"
    )
    done = pytester.run(sys.executable, "-c", code, "doctor", make_beir(), "--model", minilm_folder)
    assert done.outlines[-1] == "[]"


def test_names_are_those_of_the_suite_file_here(make_beir: MakeBeir, tmp_path: Path) -> None:
    make_beir("tickets")
    (tmp_path / "embedbench.toml").write_text('[datasets.support]\npath = "tickets"\nlanguages = ["eng-Latn"]\n')
    done = doctor("support")
    assert done.exit_code == 0
    assert done.stdout.startswith("support, split test\n")


def test_a_split(make_beir: MakeBeir) -> None:
    folder = make_beir(qrels={"test": f"{HEADER}q1\td1\t1\n", "dev": f"{HEADER}q1\td1\t2\nq1\td2\t0\n"})
    assert told(f"{folder}@dev")["grades"] == {"2": 1, "0": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nfcorpse"], "DATASET: unknown dataset 'nfcorpse'; did you mean 'NFCorpus'?"),
        (["data", "--model", "minilmm"], "--model: unknown model 'minilmm'; did you mean 'minilm'?"),
        (["data", "--model", "bm25"], "model 'bm25' has no tokenizer"),
        (["broken"], "corpus.jsonl:1: "),
        (["data@dev"], "no split 'dev'"),
    ],
)
def test_bad_input(make_beir: MakeBeir, arguments: list[str], message: str) -> None:
    make_beir()
    (make_beir("broken") / "corpus.jsonl").write_text("no json\n")
    done = doctor(*arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert done.stdout == ""


def test_a_broken_suite_file_is_bad_input(make_beir: MakeBeir, tmp_path: Path) -> None:
    (tmp_path / "embedbench.toml").write_text("[embedbench\n")
    done = doctor(make_beir())
    assert done.exit_code == 2
    assert "embedbench.toml: not valid TOML" in done.stderr


def test_a_run_has_the_same_findings_as_notes_and_in_its_result(make_beir: MakeBeir, pytester: pytest.Pytester) -> None:
    pytest.importorskip("bm25s")
    folder = make_beir(queries=LEAKED, qrels="q1\td2\t1\n")
    run = pytester.runpytest_inprocess(
        "-p", "no:hypothesispytest", "--embed-model=bm25", f"--embed-dataset={folder}", "--embed-results=results"
    )
    notes = [line for line in run.outlines if line.startswith("note: data: ")]
    assert len(notes) == 2
    assert notes[0].startswith("note: data: test.tsv has no header line")
    assert notes[1].startswith("note: data: queries are the whole text of a document")
    assert notes[1].endswith("(1, first: query q1, document d2 (relevant))")
    (result,) = (pytester.path / "results").rglob("data.json")
    stored = json.loads(result.read_text())["embedbench"]["dataset"]["findings"]
    assert [(finding["code"], finding["level"]) for finding in stored] == [
        ("qrels-without-header", "warning"),
        ("leaked-queries", "error"),
    ]
    assert stored == told(folder)["findings"][::-1]
