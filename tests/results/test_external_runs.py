"""``embedbench score`` and ``export qrels``: runs of other tools get the values that trec_eval gives them."""

from __future__ import annotations

import ctypes
import gzip
import math
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.core.runs import Run
from pytest_embedbench.errors import ResultError
from pytest_embedbench.results.external_runs import read_external
from pytest_embedbench.results.store import Store, parse_per_query
from tests.results.conftest import embedbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_embedbench.engine.pair_work import PairWork
    from pytest_embedbench.results.schema import PairResult
    from tests.conftest import MakeBeir

DOCS = [{"_id": f"d{number}", "text": f"text {number}"} for number in range(30)]
QUERIES = [{"_id": f"q{number}", "text": f"query {number}"} for number in range(6)]


def qrels_text(seed: int = 0) -> str:
    chosen = random.Random(seed)
    rows = [(query["_id"], doc["_id"], chosen.choice([0, 1, 1, 2, 3])) for query in QUERIES for doc in DOCS[::3]]
    return "query-id\tcorpus-id\tscore\n" + "".join(f"{query}\t{doc}\t{grade}\n" for query, doc, grade in rows)


def write_run(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def stored(folder: Path) -> tuple[Path, PairResult]:
    (found,) = Store(folder).results()
    return found


def trec_eval(run: Path, qrels: Path) -> dict[str, dict[str, float]]:
    """Values by query of trec_eval itself, of files read by its own rules."""
    with qrels.open() as file:
        judged = pytrec_eval.parse_qrel(file)
    with run.open() as file:
        ranked = pytrec_eval.parse_run(file)
    measures = {"ndcg_cut.3,10", "map_cut.10", "recall.10", "P.5", "recip_rank"}
    found: dict[str, dict[str, float]] = pytrec_eval.RelevanceEvaluator(judged, measures).evaluate(ranked)
    return found


def test_our_own_run_scored_again_has_the_same_values_to_the_last_digit(
    evaluate: Callable[[str], PairWork], tmp_path: Path
) -> None:
    work = evaluate("builtin")
    run = work.path.with_suffix(".run.trec")
    done = embedbench("score", run, "--data", "builtin", "--name", "other/tool", "--out", tmp_path / "scored")
    assert done.exit_code == 0, done.output
    assert f"ndcg@10\t{work.means['ndcg@10']:.4f}" in done.output.splitlines()
    path, result = stored(tmp_path / "scored")
    assert path == tmp_path / "scored" / "other__tool" / "no_revision_available" / "builtin.json"
    assert result.embedbench.means == work.means
    assert parse_per_query(path.with_suffix(".per-query.jsonl").read_bytes()) == work.scores
    again = Store(tmp_path / "scored").load_run(path, result)
    assert again is not None
    order = {query: [doc for doc, _ in work.run[query]] for query in work.run if work.run[query]}
    assert {query: [doc for doc, _ in again[query]] for query in again} == order
    assert result.embedbench.dataset == work.result.embedbench.dataset
    assert result.scores == work.result.scores
    assert (result.embedbench.origin, result.embedbench.environment) == ("run builtin.run.trec", None)


def test_a_real_collection_with_its_qrels_exported(
    evaluate: Callable[[str], PairWork], tmp_path: Path, shared: Path
) -> None:
    work = evaluate(str(shared / "data" / "nfcorpus"))
    data, qrels = str(shared / "data" / "nfcorpus"), tmp_path / "qrels.trec"
    assert embedbench("export", "qrels", data, "--out", qrels).exit_code == 0
    run = work.path.with_suffix(".run.trec")
    theirs = trec_eval(run, qrels)
    judged = work.dataset.judged_queries
    assert len(judged) == 323
    for name in ("ndcg_cut_10", "map_cut_10", "recall_10", "P_5"):
        family, _, k = name.rpartition("_")
        ours = work.scores[str(parse_measure(f"{ {'P': 'precision'}.get(family, family.removesuffix('_cut')) }@{k}"))]
        assert {query: theirs.get(query, {}).get(name, 0.0) for query in judged} == ours, name
    assert embedbench("score", run, "--data", data, "--out", tmp_path / "scored").exit_code == 0
    assert stored(tmp_path / "scored")[1].embedbench.means == work.means


def test_a_run_with_near_ties_and_gaps_has_the_values_of_trec_eval(tmp_path: Path, make_beir: MakeBeir) -> None:
    """Scores that only differ beyond 32 bits are ties in trec_eval; the rank column counts for nothing."""
    data = make_beir(docs=DOCS, queries=QUERIES, qrels=qrels_text())
    chosen = random.Random(1)
    lines = [
        f"{query['_id']}\tQ0  {doc['_id']} {chosen.randint(1, 99)} {1 + chosen.choice([0, 1e-12, 2e-12, 1e-3])!r} tool"
        for query in QUERIES[:5]
        for doc in DOCS
    ]
    run = write_run(tmp_path / "x.run", lines)
    qrels = tmp_path / "qrels"
    assert embedbench("export", "qrels", data, "--out", qrels).exit_code == 0
    done = embedbench("score", run, "--data", data, "--metric", "ndcg@3", "--metric", "mrr@30", "--out", tmp_path / "r")
    assert done.exit_code == 0, done.output
    assert "note: judged queries are not in the run; they score 0 (1, first: q5)" in done.output
    assert "queries have ranks that contradict the scores; the scores count (5, first: q0)" in done.output
    path, result = stored(tmp_path / "r")
    assert result.embedbench.model.name == "tool", "the run's tag"
    ours = parse_per_query(path.with_suffix(".per-query.jsonl").read_bytes())
    theirs = trec_eval(run, qrels)
    for mine, name in (
        ("ndcg@3", "ndcg_cut_3"),
        ("ndcg@10", "ndcg_cut_10"),
        ("mrr@30", "recip_rank"),
        ("map@10", "map_cut_10"),
    ):
        assert ours[mine] == {**{query: found[name] for query, found in theirs.items()}, "q5": 0.0}, name
    assert set(ours["ndcg@10"].values()) != {0.0}


def test_what_run_and_data_say_against_each_other(tmp_path: Path, make_beir: MakeBeir) -> None:
    data = make_beir(docs=DOCS, queries=QUERIES, qrels="q0\td1\t1\nq1\td2\t1\n")
    lines = ["q0 Q0 d1 1 2.5 t", "q0 Q0 ghost 2 1 t", "", "lost Q0 d1 1 1 t", "q%200 Q0 d1 1 1 t"]
    done = embedbench("score", write_run(tmp_path / "x.run", lines), "--data", data)
    assert done.exit_code == 0, done.output
    for note in (
        "queries of the run are not in queries.jsonl; they are left out (2, first: lost)",
        "judged queries are not in the run; they score 0 (1, first: q1)",
        "documents of the run are not in corpus.jsonl; they count as not relevant (1, first: ghost)",
        "measures look deeper than the run, which has at most 2 documents a query (4, first: ndcg@10)",
    ):
        assert f"note: {note}" in done.output.splitlines()
    assert "ndcg@10\t0.5000" in done.output


def test_gzip_reads_as_plain_text_does(tmp_path: Path) -> None:
    plain = write_run(
        tmp_path / "x.run", ["q é Q0".replace(" é", "\u00e9") + " d\u00a01 1 0.5 t", "q2 Q0 d%20 1 1e3 u"]
    )
    packed = tmp_path / "x.run.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_external(packed) == read_external(plain)
    assert list(read_external(plain).run) == ["q\u00e9", "q2"]
    assert read_external(plain).run["q2"] == [("d%20", 1000.0)], "ids of others are not decoded"
    assert read_external(plain).run["q\u00e9"] == [("d\u00a01", 0.5)], "only ASCII white space parts columns"
    assert read_external(plain).tag == "t"


BAD_LINES = {
    "q Q0 d 1": "it has 4 columns",
    "q Q0 d 1 0.5": "it has 5 columns",
    "q Q0 d 1 0.5 \t": "it has 5 columns",
    "q Q0 d 1 0.5\r": "it has 5 columns",
    "q Q0 d 1 x t": "the score 'x' is not a number",
    "q Q0 d 1 1_0 t": "the score '1_0' is not a number",
    "q Q0 d 1 \u0661 t": "is not a number",
    "q Q0 d 1 nan t": "the score 'nan' is not a finite number in 32 bits",
    "q Q0 d 1 -inf t": "the score '-inf' is not a finite number",
    "q Q0 d 1 1e39 t": "the score '1e39' is not a finite number in 32 bits",
    "q Q0 d 1 1 \udcff": "it is not UTF-8",
    "q1 Q0 d1 2 0.4 t": "document 'd1' stands twice in the ranking of query 'q1'",
    "q Q0 d 1 1 t\rq Q0 e 2 1 t": "the line holds carriage returns before its end",
}


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_bad_line_is_named(tmp_path: Path, make_beir: MakeBeir, line: str) -> None:
    path = tmp_path / "x.run"
    path.write_bytes(f"q1 Q0 d1 1 0.5 t\n{line}\n".encode(errors="surrogateescape"))
    done = embedbench("score", path, "--data", make_beir())
    assert done.exit_code == 1
    assert f"{path}:2: " in done.output
    assert BAD_LINES[line] in done.output
    assert done.output.count("fix: ") == 1


def test_words_after_the_tag_are_ignored(tmp_path: Path, make_beir: MakeBeir) -> None:
    """Two of three judged queries have their document first; the third is not in the run: 2 / 3."""
    ids = [{"_id": f"d{number}", "text": f"text {number}"} for number in (1, 2, 4)]
    queries = [{"_id": f"q{number}", "text": f"query {number}"} for number in (1, 2, 3)]
    data = make_beir(docs=ids, queries=queries, qrels="query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\nq3\td4\t1\n")
    run = write_run(tmp_path / "x.trec", ["q1 Q0 d1 1 9.5 bm25 tuned", "q2 Q0 d2 1 8.1 bm25 tuned"])
    done = embedbench("score", run, "--data", data)
    assert done.exit_code == 0, done.output
    assert "ndcg@10\t0.6667" in done.output.splitlines()
    assert "note: lines have words after the tag; they are ignored (2, first: line 1)" in done.output.splitlines()
    assert read_external(run).tag == "bm25"


def test_ties_against_the_ranks_are_a_finding(tmp_path: Path, make_beir: MakeBeir) -> None:
    """The rank column has ``d1`` first, trec_eval has ``d2``; a judged ``d1`` is second."""
    data = make_beir(docs=DOCS, queries=QUERIES, qrels="query-id\tcorpus-id\tscore\nq0\td1\t1\nq1\td2\t1\n")
    run = write_run(
        tmp_path / "x.run", ["q0 Q0 d1 1 1 t", "q0 Q0 d2 2 1.00000000001 t", "q1 Q0 d2 1 2 t", "q1 Q0 d1 2 2 t"]
    )
    done = embedbench("score", run, "--data", data, "--metric", "mrr@10")
    assert done.exit_code == 0, done.output
    assert "mrr@10\t0.7500" in done.output.splitlines()
    note = "queries have ranks that contradict how ties are ordered: by descending document id, as in trec_eval"
    assert f"note: {note} (1, first: q0)" in done.output.splitlines()
    assert "contradict the scores" not in done.output


@pytest.mark.parametrize(
    ("content", "tag", "codes"),
    [
        (b"\xef\xbb\xbfq Q0 d 1 0.5 t\n", "t", ["byte-order-mark"]),
        (b"q Q0 d 1 0.5 t\r\n\r\n", "t", []),
        (b" \tq\x0bQ0\x0c d\t\t1  0.5 t \n \n", "t", []),
        (b"q Q0 d 1 0.5 t", "t", []),
        (b"# made by hand\nq Q0 d 1 0.5 t\n #q Q0 e 1 0.7 t\n", "t", ["comments"]),
        (b"\xef\xbb\xbf# made by hand\nq Q0 #d 1 0.5 t", "t", ["comments", "byte-order-mark"]),
        (b"q Q0 d none 5e-1 t\n", "t", []),
    ],
)
def test_lines_as_trec_eval_takes_them(tmp_path: Path, content: bytes, tag: str, codes: list[str]) -> None:
    path = tmp_path / "x.run"
    path.write_bytes(content)
    external = read_external(path)
    assert external.run == Run({"q": [("#d" if b"#d" in content else "d", 0.5)]})
    assert external.tag == tag
    assert [finding.code for finding in external.findings] == codes


WORDS = st.text(st.sampled_from("aB1é\u00a0\ufeff%."), min_size=1, max_size=3)
NUMBERS = st.one_of(st.floats(width=32), st.sampled_from(["0.1", "0.10000000001", "1e-3", "+2", "7", "x", "1e40"]))
ROWS = st.tuples(
    st.sampled_from(["q1", "q2"]), st.just("Q0"), st.one_of(WORDS, st.sampled_from("abc")), st.integers(0, 9), NUMBERS
)


@given(st.lists(ROWS, min_size=1, max_size=6), st.data())
def test_runs_are_read_as_by_pytrec_eval(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[object, ...]], data: st.DataObject
) -> None:
    """Same rankings, or an error of both; scores that are not finite are an error of ours alone."""
    gap, end = data.draw(st.sampled_from([" ", "\t", " \t "])), data.draw(st.sampled_from(["\n", "\r\n", " \n"]))
    lines = [gap.join(map(str, [*row, "t"])) for row in rows]
    path = tmp_path_factory.getbasetemp() / "random.run"
    path.write_bytes("".join(line + end for line in lines).encode())
    # pytrec_eval also parts columns at white space beyond ASCII, which trec_eval does not.
    plain = [line.replace("\u00a0", "_") for line in lines]
    try:
        theirs = pytrec_eval.parse_run(plain)
    except (ValueError, AssertionError):
        theirs = {}
    scores = [ctypes.c_float(score).value for ranking in theirs.values() for score in ranking.values()]
    if not theirs or not all(map(math.isfinite, scores)):
        with pytest.raises(ResultError, match=rf"{path.name}:\d+: "):
            read_external(path)
        return
    ours = read_external(path).run
    read = {query: {doc.replace("\u00a0", "_"): score for doc, score in ours[query]} for query in ours}
    assert read == {
        query: {doc: ctypes.c_float(score).value for doc, score in found.items()} for query, found in theirs.items()
    }
    if "\u00a0" in path.read_text("utf-8"):
        return
    for query in ours:  # the place of each document is trec_eval's
        for rank, (doc, _) in enumerate(ours[query], 1):
            found = pytrec_eval.RelevanceEvaluator({query: {doc: 1}}, {"recip_rank"}).evaluate({query: theirs[query]})
            assert found[query]["recip_rank"] == pytest.approx(1 / rank)


def test_other_data_an_empty_run_and_a_damaged_archive_are_errors(tmp_path: Path, make_beir: MakeBeir) -> None:
    data = make_beir()
    other = embedbench("score", write_run(tmp_path / "x.run", ["z9 Q0 d1 1 1 t"]), "--data", data)
    assert "ranks none of the 1 judged queries of data, the first is 'q1'; the run's first is 'z9'" in other.output
    unjudged = make_beir("unjudged", qrels=None)
    bare = embedbench("score", tmp_path / "x.run", "--data", unjudged)
    assert "cannot be scored: " in bare.output
    assert "no judgments" in bare.output
    assert "fix: add judgments for scores" in bare.output
    empty = embedbench("score", write_run(tmp_path / "y.run", []), "--data", data)
    assert "y.run: holds no ranking" in empty.output
    (tmp_path / "z.gz").write_bytes(gzip.compress(b"q1 Q0 d1 1 1 t\n" * 99)[:-9])
    cut = embedbench("score", tmp_path / "z.gz", "--data", data)
    assert "z.gz: cannot be read" in cut.output
    (tmp_path / "u.run").write_bytes("q1 Q0 d1 1 1 t\n".encode("utf-16"))
    wide = embedbench("score", tmp_path / "u.run", "--data", data)
    assert "u.run: is in UTF-16\n  fix: save it in UTF-8" in wide.output
    assert {other.exit_code, empty.exit_code, cut.exit_code} == {1}
    unknown = embedbench("score", tmp_path / "x.run", "--data", "nowhere")
    assert "--data: unknown dataset 'nowhere'" in unknown.output
    (tmp_path / "pairs.json").write_text("[]", encoding="utf-8")
    table = embedbench("score", tmp_path / "x.run", "--data", tmp_path / "pairs.json")
    assert "pairs.json: JSON, but not JSON lines" in table.output
    assert "fix: write each object on a line of its own" in table.output


def test_a_measured_result_is_not_written_over(evaluate: Callable[[str], PairWork], tmp_path: Path) -> None:
    work = evaluate("builtin")
    before = work.path.read_text("utf-8")
    run = work.path.with_suffix(".run.trec")
    done = embedbench("score", run, "--data", "builtin", "--name", "bm25", "--out", tmp_path / "results")
    assert done.exit_code == 1
    assert f"{work.path} was measured here, and is kept" in done.output
    assert work.path.read_text("utf-8") == before
    again = [embedbench("score", run, "--data", "builtin", "--name", "x", "--out", tmp_path / "o") for _ in range(2)]
    assert [one.exit_code for one in again] == [0, 0], "one that was scored before is replaced"
    assert "replaced" not in again[1].output, "it is the same run"


def test_another_run_of_the_same_name_replaces_the_first_one_aloud(
    evaluate: Callable[[str], PairWork], tmp_path: Path
) -> None:
    run = evaluate("builtin").path.with_suffix(".run.trec")
    (tmp_path / "half.trec").write_text("".join(run.read_text("utf-8").splitlines(keepends=True)[::2]), "utf-8")
    args = ["--data", "builtin", "--name", "x", "--out", str(tmp_path / "o")]
    assert "replaced" not in embedbench("score", run, *args).output
    done = embedbench("score", tmp_path / "half.trec", *args)
    assert done.exit_code == 0
    assert f"note: an earlier result, of run {run.name}, is replaced; --name keeps runs apart" in done.output


def test_cards_and_compare_use_it(evaluate: Callable[[str], PairWork], tmp_path: Path) -> None:
    work = evaluate("builtin")
    run = work.path.with_suffix(".run.trec")
    assert embedbench("score", run, "--data", "builtin", "--name", "other/tool", "--out", tmp_path / "o").exit_code == 0
    assert embedbench("card", tmp_path / "o", "--out", tmp_path / "cards").exit_code == 0
    card = (tmp_path / "cards" / "other__tool.md").read_text("utf-8")
    assert "Numbers from run builtin.run.trec" in card
    assert "| Tasks |" not in card, "nobody knows whether it makes vectors"
    done = embedbench("compare", tmp_path / "results", tmp_path / "o")
    assert done.exit_code == 0, done.output
    assert "same" in done.output


def test_qrels_with_ids_as_in_our_runs(tmp_path: Path, make_beir: MakeBeir) -> None:
    docs = [{"_id": "d 1", "text": "a"}, {"_id": "d2", "text": "b"}]
    queries = [{"_id": "q%1", "text": "a"}, {"_id": "q2", "text": "none"}]
    data = make_beir(docs=docs, queries=queries, qrels="q%1\td 1\t2\nq%1\td2\t-1\nq2\td2\t0\n")
    out = tmp_path / "q.trec"
    assert embedbench("export", "qrels", data, "--out", out).exit_code == 0
    assert out.read_text("utf-8") == "q%251 0 d%201 2\nq%251 0 d2 0\n"
    unjudged = embedbench("export", "qrels", make_beir("unjudged", qrels=None), "--out", out)
    assert unjudged.exit_code == 1
    assert "no query with a relevant document" in unjudged.output
