"""``embedbench lint`` over cards, our results, MTEB's results and what is none of these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pytest_embedbench.cli import main
from pytest_embedbench.core.measures import DEFAULT_MEASURES, Measure
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.engine.pair_work import WorkSettings
from pytest_embedbench.engine.workbench import Workbench
from pytest_embedbench.plausibility.check import check_result
from pytest_embedbench.plausibility.rows import ReportedValue
from pytest_embedbench.plausibility.sources import read_rows
from pytest_embedbench.reports.cards.write import write_cards
from pytest_embedbench.results.store import Store
from pytest_embedbench.suite.model_names import Overrides
from pytest_embedbench.suite.plan import read_suite

CARD = """# org/model

## Benchmarks

### FiQA2018

Corpus: 57,599 \N{MIDDLE DOT} Queries: 648

**Quality:** ndcg at 10: 0.1447 \N{MIDDLE DOT} map at 10: 0.1137 \N{MIDDLE DOT} mrr at 10: 0.0335 \N{MIDDLE DOT} hits at 10: 12

### other

**Quality:** ndcg at 10: 68.75% \N{MIDDLE DOT} mrr at 10: 0.7569

**Performance (L4 b1 c16):** Corpus 5.2K tok/s \N{MIDDLE DOT} Corpus p50 0.5s \N{MIDDLE DOT} Corpus p90 400.0ms
"""

# The form before version 1.11: huggingface.co/datasets/GritLM/results, Llama-2-7b-hf/FiQA2018.json.
OLD_MTEB = {
    "dataset_revision": None,
    "mteb_dataset_name": "FiQA2018",
    "mteb_version": "1.1.1",
    "test": {
        "evaluation_time": 456.5,
        "map_at_1": 0.02125, "map_at_3": 0.02884, "map_at_5": 0.03088, "map_at_10": 0.03434, "map_at_100": 0.04068,
        "map_at_1000": 0.04218, "mrr_at_1": 0.04784, "mrr_at_3": 0.06199, "mrr_at_5": 0.06507, "mrr_at_10": 0.07068,
        "mrr_at_100": 0.07893, "mrr_at_1000": 0.07991, "ndcg_at_1": 0.04784, "ndcg_at_3": 0.04288, "ndcg_at_5": 0.04356,
        "ndcg_at_10": 0.05146, "ndcg_at_100": 0.09138, "ndcg_at_1000": 0.13276, "precision_at_1": 0.04784,
        "precision_at_3": 0.02984, "precision_at_5": 0.0216, "precision_at_10": 0.01651, "precision_at_100": 0.00563,
        "precision_at_1000": 0.00126, "recall_at_1": 0.02125, "recall_at_3": 0.03779, "recall_at_5": 0.0462,
        "recall_at_10": 0.06917, "recall_at_100": 0.23312, "recall_at_1000": 0.50273,
    },
}  # fmt: skip


def lint(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["lint", *map(str, arguments)])


def mteb(**scores: float) -> dict[str, Any]:
    entry = {"hf_subset": "default", "languages": ["eng-Latn"], "main_score": 0.5, "nauc_ndcg_at_10_max": float("nan")}
    return {"task_name": "SomeTask", "dataset_revision": "r", "mteb_version": "2", "scores": {"test": [entry | scores]}}


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


# Cards


def test_the_reference_card_has_findings_for_fiqa_and_for_nothing_else(shared: Path) -> None:
    page = shared / "pages" / "model-card.md"
    done = lint(page)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert all(line.startswith(f"{page}: FiQA2018: ") for line in lines)
    assert [line.split(": ")[2] for line in lines] == ["error", "error", "error", "warning"]
    assert "ndcg@10 <= 3.39968 mrr@10 fails: 0.1447 > 0.1139 (mrr@10 is 0.0335)" in lines[0]
    assert "map@10 <= 2.18122 mrr@10 fails: 0.1137 > 0.07307 (mrr@10 is 0.0335)" in lines[1]
    assert "needs mrr@10 >= 0.0533, found 0.0335" in lines[2]
    assert "ndcg@10 0.1447 (published 0.62654)" in lines[3]
    assert done.stderr == "3 rows checked: 3 errors, 1 warning, 0 notes\n"


def test_published_rows_pass(shared: Path) -> None:
    done = lint("--strict", shared / "reference" / "mteb_published.json")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "75 rows checked: 0 errors, 0 warnings, 0 notes\n"


def test_a_cards_numbers_are_read_with_their_units_and_digits(tmp_path: Path) -> None:
    fiqa, other = read_rows(write(tmp_path / "card.md", CARD))
    assert fiqa.scores[Measure("mrr", 10)] == ReportedValue(0.0335, 5e-5)
    assert len(fiqa.scores) == 3
    assert (fiqa.model, fiqa.documents, fiqa.queries) == (
        "org/model",
        ReportedValue(57599, 0.5),
        ReportedValue(648, 0.5),
    )
    assert other.scores[Measure("ndcg", 10)].value == pytest.approx(0.6875)
    assert other.scores[Measure("ndcg", 10)].half == pytest.approx(5e-5)
    assert other.latencies == {"L4 b1 c16 corpus": {"p50": ReportedValue(500, 50), "p90": ReportedValue(400, 0.05)}}


def test_a_card_of_others_with_impossible_latencies(tmp_path: Path) -> None:
    done = lint(write(tmp_path / "card.md", CARD))
    assert "other: error: L4 b1 c16 corpus: impossible: p50 <= p90 fails: 500 ms > 400 ms" in done.stdout


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# org/model\n\nA model.\n", "no model-index"),
        ("words\n", "no model-index"),
        ("", "no model-index"),
        ("# x\n\n---\n\na rule\n\n---\n", "no model-index"),
        ("---\nlicense: mit\n---\n# x\n\n## Benchmarks\n\n| ndcg@10 |\n|---|\n| 0.5 |\n", "no model-index"),
        ("---\nmodel-index:\n---\n", "no model-index"),
        ("---\nmodel-index:\n- name: x\n\n# never closed\n", "no end, a line of ---"),
        (
            f"---\nmodel-index:\n- results:\n  - metrics: [{{type: ndcg_at_10, value: 1{'0' * 400}}}]\n---\n",
            "a model-index with other metrics: ndcg_at_10",
        ),
        (
            "---\nmodel-index:\n- results:\n  - metrics: [{type: cos_sim_pearson, value: 9}, {type: accuracy}]\n---\n# x\n",
            "a model-index with other metrics: cos_sim_pearson, accuracy",
        ),
    ],
)
def test_a_page_without_numbers_says_what_was_looked_for(tmp_path: Path, text: str, found: str) -> None:
    path = write(tmp_path / "README.md", text)
    done = lint(path)
    assert done.exit_code == 0
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{path}: warning: nothing to check: no **Quality:** or **Performance** line of a card")
    assert line.endswith(f"its front matter has {found}")
    assert done.stderr == "0 rows checked: 0 errors, 1 warning, 0 notes\n"
    assert lint("--strict", path).exit_code == 1


# READMEs on the Hub


def mteb_readme(ndcg: float) -> str:
    """The form of MTEB's metadata, as many models have it; numbers in percent, those of bge-small-en-v1.5."""
    metrics = {"map_at_10": 51.03, "mrr_at_10": 51.184, "ndcg_at_10": ndcg, "recall_at_10": 86.415, "main_score": 59.5}
    lines = "".join(f"    - type: {name}\n      value: {value}\n" for name, value in metrics.items())
    return f"""---
tags:
- mteb
model-index:
- name: bge-small
  results:
  - task:
      type: Classification
    dataset:
      type: mteb/amazon_counterfactual
      name: MTEB AmazonCounterfactualClassification (en)
    metrics:
    - type: accuracy
      value: 73.79104477611939
  - task:
      type: Retrieval
    dataset:
      type: arguana
      name: MTEB ArguAna
      config: default
      split: test
      revision: None
    metrics:
{lines}---

# bge

## Benchmarks

A table of others.
"""


def test_mtebs_metadata_are_read_as_percent(tmp_path: Path) -> None:
    path = write(tmp_path / "README.md", mteb_readme(59.55))
    (row,) = read_rows(path)
    assert (row.model, row.dataset, row.split) == ("bge-small", "ArguAna", "test")
    assert row.scores[Measure("ndcg", 10)].value == pytest.approx(0.5955)
    assert row.scores[Measure("ndcg", 10)].half == pytest.approx(5e-5)
    assert row.scores[Measure("recall", 10)].half == pytest.approx(5e-6)
    done = lint("--strict", path)
    assert (done.exit_code, done.stdout) == (0, "")
    done = lint(write(path, mteb_readme(39.55)))
    assert done.exit_code == 1
    assert f"{path}: ArguAna: error: impossible: map@10 <= ndcg@10 fails: 0.5103 > 0.3955" in done.stdout


def test_sentence_transformers_metadata_have_a_row_for_each_similarity(tmp_path: Path) -> None:
    metrics = {
        "cosine_accuracy@1": 0.69, "cosine_ndcg@10": 0.8046, "cosine_mrr@10": 0.7698, "cosine_map@100": 0.9999,
        "dot_ndcg@10": 0.5, "dot_mrr@10": "10.1%", "spearman_cosine": 0.7,
    }  # fmt: skip
    lines = "".join(f"    - {{type: {name}, value: {value}, name: x}}\n" for name, value in metrics.items())
    text = (
        f"---\nmodel-index:\n- name: m\n  results:\n  - dataset: {{name: dim 64, type: d}}\n    metrics:\n{lines}---\n"
    )
    cosine, dot = read_rows(write(tmp_path / "README.md", text))
    # Its map divides by another number, so no bound of ours holds for it.
    assert {str(measure): value.value for measure, value in cosine.scores.items()} == {
        "ndcg@10": 0.8046,
        "mrr@10": 0.7698,
    }
    assert (cosine.dataset, dot.dataset) == ("dim 64", "dim 64 dot")
    assert dot.scores[Measure("mrr", 10)].value == pytest.approx(0.101)
    assert (
        "README.md: dim 64 dot: error: impossible: ndcg@10 <= 3.39968 mrr@10 fails"
        in lint(tmp_path / "README.md").stdout
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("---\nmodel-index: [a\nlicense: mit\n---\n# x\n", "its front matter cannot be read: "),
        (f"---\nmodel-index: {'[' * 5000}{']' * 5000}\n---\n", "its front matter cannot be read: "),
        (
            "---\nmodel-index: {a: 1}\n---\n# x\n",
            "the model-index in its front matter is malformed: model-index is not",
        ),
        ("---\nmodel-index:\n- results: 3\n---\n", "the model-index in its front matter is malformed: results is not"),
        (
            "---\nmodel-index:\n- results:\n  - metrics: x\n---\n",
            "the model-index in its front matter is malformed: metrics",
        ),
    ],
)
def test_malformed_metadata_are_one_error(tmp_path: Path, text: str, message: str) -> None:
    done = lint(write(tmp_path / "README.md", text))
    assert done.exit_code == 1
    (line,) = done.stdout.splitlines()
    assert f"README.md: error: {message}" in line


def test_the_readme_that_we_export_is_read_as_a_whole(results: Path, tmp_path: Path) -> None:
    exported = CliRunner().invoke(main, ["export", "hub", str(results), "--out", str(tmp_path)])
    assert exported.exit_code == 0, exported.output
    (path,) = tmp_path.glob("*/README.md")
    text = path.read_text("utf-8")
    done = lint("--strict", path)
    assert (done.exit_code, done.stdout) == (0, "")
    index, card = read_rows(path)
    assert len(index.scores) == len(DEFAULT_MEASURES)
    assert (card.scores, card.documents is None) == ({}, False)
    # The owner's own sections do not keep the numbers from being checked.
    done = lint(write(path, f"{text}\n## Usage\n\nLoad it.\n"))
    assert done.exit_code == 0
    assert (
        done.stdout == f"{path}: note: only the model-index of its front matter was read: the text below is no card\n"
    )
    ndcg = index.scores[Measure("ndcg", 10)].value
    done = lint(write(path, text.replace(f"ndcg at 10: {ndcg:.4f}", "ndcg at 10: 0.0123")))
    assert f"warning: ndcg@10 is 0.0123 in the text and {ndcg:.6g} in the front matter" in done.stdout
    done = lint(write(path, text.replace(f"value: {ndcg}", "value: 0.01")))
    assert done.exit_code == 1
    assert "builtin: error: impossible: " in done.stdout


# MTEB


def test_an_mteb_result_is_read_with_its_model(tmp_path: Path) -> None:
    path = write(tmp_path / "org__model" / "rev" / "SomeTask.json", mteb(ndcg_at_10=0.51234, mrr_at_10=0.1))
    (found,) = json.loads(lint("--json", path).stdout)
    assert (found["model"], found["dataset"], found["level"]) == ("org/model", "SomeTask", "error")
    assert found["values"]["ndcg@10"] == 0.51234
    write(path.parent / "model_meta.json", {"name": "real/name"})
    assert json.loads(lint("--json", path).stdout)[0]["model"] == "real/name"


def test_mtebs_old_form_with_every_cut(tmp_path: Path) -> None:
    path = write(tmp_path / "FiQA2018.json", OLD_MTEB)
    (row,) = read_rows(path)
    assert (row.dataset, row.split, len(row.scores)) == ("FiQA2018", "test", 30)
    done = lint("--strict", path)
    assert (done.exit_code, done.stdout) == (0, "")


def test_decimals_are_those_of_the_family(tmp_path: Path) -> None:
    """JSON drops final zeros and has traces of arithmetic; an unrounded mean is taken whole."""
    scores = mteb(
        ndcg_at_5=0.36709,
        ndcg_at_10=0.411,
        recall_at_10=0.24292999999999998,
        mrr_at_10=0.4134056989320149,
        map_at_10=0.5,
    )
    (row,) = read_rows(write(tmp_path / "a.json", scores))
    halves = {str(measure): value.half for measure, value in row.scores.items()}
    assert halves == pytest.approx(
        {"ndcg@5": 5e-6, "ndcg@10": 5e-6, "recall@10": 5e-6, "mrr@10": 0, "map@10": 0}, abs=1e-9
    )


def test_two_decimals_in_json_stay_two_decimals(tmp_path: Path) -> None:
    """0.35 may be 0.3450 and 0.10 may be 0.1049: possible."""
    assert lint(write(tmp_path / "a.json", mteb(ndcg_at_10=0.35, mrr_at_10=0.1))).stdout == ""


def test_more_decimals_decide(tmp_path: Path) -> None:
    assert lint(write(tmp_path / "a.json", mteb(ndcg_at_10=0.35001, mrr_at_10=0.10001))).exit_code == 1


def test_subsets_and_splits_are_told_apart(tmp_path: Path) -> None:
    result = mteb(ndcg_at_10=0.51234, mrr_at_10=0.1)
    result["scores"]["dev"] = [result["scores"]["test"][0] | {"hf_subset": "de"}]
    done = lint(write(tmp_path / "a.json", result))
    assert ": SomeTask: error: " in done.stdout
    assert ": SomeTask de (dev): error: " in done.stdout


# Our own results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a results folder of a real evaluation of BM25 on the built-in dataset."""
    pytest.importorskip("bm25s", reason="needs the extra bm25")
    folder = tmp_path_factory.mktemp("lint")
    suite = write(folder / "embedbench.toml", '[embedbench]\nmodels = ["bm25"]\ndatasets = ["builtin"]\n')
    (pair,) = read_suite(suite, Overrides(folder=folder)).pairs
    bench = Workbench(WorkSettings(results=folder / "results", device="cpu"), SilentProgress())
    bench.evaluation(pair, DEFAULT_MEASURES)
    return folder / "results"


def test_our_own_results_and_their_card_are_possible(results: Path, tmp_path: Path) -> None:
    cards = [path for _, path, _ in write_cards(Store(results).results(), tmp_path) if path]
    assert cards
    done = lint("--strict", results, *cards)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith("2 rows checked")


def test_an_impossible_number_in_our_own_result_is_found(results: Path) -> None:
    ((path, result),) = Store(results).results()
    assert check_result(result) == []
    result.embedbench.means["mrr@10"] = 0.01
    found = check_result(result, str(path))
    assert {finding.level for finding in found} == {"error"}
    assert any("ndcg@10 <= 3.39968 mrr@10 fails" in finding.message for finding in found)
    assert {finding.file for finding in found} == {str(path)}
    assert {(finding.model, finding.dataset) for finding in found} == {("embedbench/bm25", "builtin")}


# What cannot be read


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "is not JSON: "),
        ("a.json", "[]", "is neither a model card nor a result of pytest-embedbench or MTEB"),
        ("a.json", '{"embedbench": {}}', "is not a pytest-embedbench result: "),
        ("a.json", '{"task_name": "T", "scores": {"test": 3}}', "is not an MTEB result: 'scores' must hold"),
        ("a.json", '{"task_name": "T", "scores": {"test": [3]}}', "is not an MTEB result: 'scores' must hold"),
        ("a.json", '{"task_name": "T", "scores": []}', "is not an MTEB result: 'scores' must hold"),
        ("a.md", "**Quality:** ndcg at 10: 0.5\n", "is not a model card: line 1: "),
    ],
)
def test_a_file_that_cannot_be_used_is_one_error(name: str, content: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, content)
    done = lint(path)
    assert done.exit_code == 1
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{path}: error: {message}")


def test_missing_and_binary_files(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"\xff\xfe")
    done = lint(tmp_path / "a.md", tmp_path / "nowhere.md")
    assert done.stdout.splitlines() == [
        f"{tmp_path / 'a.md'}: error: is not a text file in UTF-8",
        f"{tmp_path / 'nowhere.md'}: error: cannot be read: No such file or directory",
    ]


def test_below_a_folder_only_what_is_broken_is_named(tmp_path: Path) -> None:
    write(tmp_path / "README.md", "Words about models.\n")
    write(tmp_path / "settings.json", {"a": 1})
    write(tmp_path / "x" / "org__m" / "rev" / "T.json", mteb(ndcg_at_10=0.5, mrr_at_10=0.6))
    write(tmp_path / "x" / "org__m" / "rev" / "model_meta.json", {"name": "org/m"})
    write(tmp_path / ".hidden" / "card.md", CARD)
    assert lint(tmp_path).stdout == ""
    broken = write(tmp_path / "x" / "half.json", '{"task_name": ')
    card = write(tmp_path / "x" / "card.md", CARD.replace("\n\n### other", "\n### other"))
    done = lint(tmp_path)
    assert done.exit_code == 1
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == [str(card), str(broken)]


def test_a_folder_without_anything_to_check(tmp_path: Path) -> None:
    done = lint(tmp_path)
    assert (done.exit_code, done.stdout) == (
        1,
        f"{tmp_path}: error: holds no card, no README with scores and no result\n",
    )


def test_warnings_fail_only_when_strict(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", mteb(ndcg_at_10=0.5, mrr_at_10=0.0))
    assert lint(path).exit_code == 0
    assert ": SomeTask: warning: mrr@10 0 beside ndcg@10 0.5" in lint(path).stdout
    assert lint("--strict", path).exit_code == 1


def test_json_of_nothing_is_an_empty_list(tmp_path: Path) -> None:
    done = lint("--json", write(tmp_path / "a.json", mteb(ndcg_at_10=0.5, mrr_at_10=0.6)))
    assert json.loads(done.stdout) == []
