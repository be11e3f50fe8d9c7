"""A run takes from the embedding cache what was encoded before, also where its stored result is gone or of no use."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from click.testing import CliRunner

from pytest_embedbench.cli import main
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import PreparedText, Vectors
    from tests.acceptance.conftest import Project

NDCG = ("--embed-model=minilm", "--embed-dataset=facts", "-k", "ndcg")


class Cached(NamedTuple):
    """Texts that came from the cache; does the encode effort say that some were encoded?"""

    documents: float
    queries: float
    encoded: bool


def cached(project: Project, *arguments: str, keep: bool = False, model: str = "*MiniLM*") -> Cached:
    """Run without an earlier result; what the new one says of the cache."""
    if not keep:
        shutil.rmtree(project.folder / "embedbench-out", ignore_errors=True)
    result = project.run(*(arguments or NDCG))
    assert result.ret == 0
    effort = project.result(model=model).embedbench.effort
    documents, queries = effort["corpus_cached_texts"], effort["query_cached_texts"]
    shown = f"({documents + queries:.0f} texts from the embedding cache)"
    assert (shown in project.text(result)) is bool(documents + queries)
    return Cached(documents, queries, bool(effort["corpus_padded_tokens"]))


def cache_folder() -> Path:
    return Path(os.environ["EMBEDBENCH_CACHE"])


def own_model(project: Project, more: str = "") -> None:
    """Write a suite with a model of its own, copied once."""
    if not (project.folder / "mine").exists():
        project.model("mine")
    suite = "[embedbench]\nmodels = ['mine']\ndatasets = ['facts']\nmetrics = ['ndcg@10']\n"
    project.write("embedbench.toml", f"{suite}[models.mine]\npath = 'mine'\n{more}\n")


def test_without_a_stored_result_nothing_is_encoded_again(project: Project) -> None:
    project.data()
    assert cached(project) == (0, 0, True)
    first, run = project.result(), project.result_path().with_suffix(".run.trec").read_bytes()
    assert cached(project) == (6, 4, False)
    again = project.result()
    assert again.scores == first.scores
    assert project.result_path().with_suffix(".run.trec").read_bytes() == run, "bit for bit"
    for count in ("corpus_own_tokens", "corpus_tokens", "query_own_tokens", "query_tokens"):
        assert again.embedbench.effort[count] == first.embedbench.effort[count] > 0
    assert again.embedbench.effort["corpus_cached_own_tokens"] == first.embedbench.effort["corpus_own_tokens"]


def test_one_changed_document_is_encoded_alone(project: Project) -> None:
    folder = project.data()
    cached(project)
    corpus = folder / "corpus.jsonl"
    corpus.write_text(corpus.read_text("utf-8").replace("Green tea", "Black tea"), "utf-8")
    assert cached(project, *NDCG, keep=True) == (5, 4, True)
    effort = project.result().embedbench.effort
    assert effort["corpus_padded_tokens"] < 40, "one text's tokens"
    assert effort["corpus_own_tokens"] - effort["corpus_cached_own_tokens"] < effort["corpus_padded_tokens"]


def test_another_dataset_with_the_same_texts_shares_their_vectors(project: Project) -> None:
    project.data()
    cached(project)
    project.data("more", queries={"q": "who makes honey"}, qrels={"q": {"tea": 1}})
    assert project.run("--embed-model=minilm", "--embed-dataset=more", "-k", "ndcg").ret == 0
    effort = project.result("more").embedbench.effort
    assert (effort["corpus_cached_texts"], effort["query_cached_texts"]) == (6, 0)


def test_what_changes_the_vectors_of_a_model(project: Project) -> None:
    from safetensors.torch import load_file, save_file

    project.data()
    for more, expected in (
        ("", (0, 0, True)),
        ("", (6, 4, False)),
        ("query_prompt = 'tea tea tea: '", (6, 0, False)),
        ("document_prompt = 'tea tea tea: '", (0, 4, True)),
        ("max_seq_length = 5", (0, 0, True)),
        ("name = 'org/another'", (6, 4, False)),
    ):
        own_model(project, more)
        assert cached(project, "embedbench.toml", model="*") == expected, more
    own_model(project)
    weights = project.folder / "mine" / "model.safetensors"
    tensors = load_file(weights)
    name = next(key for key in tensors if key.endswith("word_embeddings.weight"))
    tensors[name][0, 0] += 1
    weights.unlink()
    save_file(tensors, weights, metadata={"format": "pt"})
    assert cached(project, "embedbench.toml", model="mine") == (0, 0, True)
    pooling = project.folder / "mine" / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text("utf-8").replace("{", '{\n"include_prompt": false,', 1), "utf-8")
    assert cached(project, "embedbench.toml", model="mine") == (0, 0, True)


def test_another_dtype_is_not_known(project: Project) -> None:
    project.data()
    cached(project)
    assert cached(project, *NDCG, "--embed-dtype=bf16") == (0, 0, True)
    assert cached(project, *NDCG, "--embed-dtype=bf16") == (6, 4, False)
    assert cached(project) == (6, 4, False)


def test_fresh_encodes_again_and_stores_it(project: Project) -> None:
    project.data()
    cached(project)
    assert cached(project, *NDCG, "--embed-fresh", keep=True) == (0, 0, True)
    assert cached(project) == (6, 4, False)


def test_load_profiles_and_tests_in_python_get_vectors_from_the_model(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    forward = SentenceTransformerModel.forward

    def counting(model: SentenceTransformerModel, batch: Sequence[PreparedText], role: Role) -> Vectors:
        counted.append(f"{role} {len(batch)}")
        return forward(model, batch, role)

    monkeypatch.setattr(SentenceTransformerModel, "forward", counting)
    project.data()
    project.write(
        "test_model.py",
        """
        def test_vectors(embed_model):
            assert embed_model.encode(["how do whales breathe"], role="query").shape == (1, 384)
        """,
    )
    assert project.run(*NDCG).ret == 0
    assert counted == ["query 4", "document 6"]
    for arguments, calls in (
        (NDCG, set()),
        (("--embed-model=minilm", "--embed-dataset=facts", "test_model.py"), {"query 1"}),
        ((*NDCG[:2], "--embed-profile=b2 c1", "--embed-profile-seconds=1", "-k", "b2"), {"query 2", "document 2"}),
    ):
        counted.clear()
        shutil.rmtree(project.folder / "embedbench-out", ignore_errors=True)
        result = project.run(*arguments)
        assert result.ret == 0, project.text(result)
        assert set(counted) == calls


def test_a_killed_run_goes_on_where_it_stopped(project: Project) -> None:
    project.data()
    project.write(
        "conftest.py",
        """
        import os, signal
        from pytest_embedbench.encode.cache import Space

        write, batches = Space.write, []

        def dying(self, texts, prepared, vectors):
            batches.append(texts)
            if len(batches) == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            write(self, texts, prepared, vectors)

        Space.write = dying
        """,
    )
    code, output = project.start(*NDCG, "--embed-batch-tokens=1").finish()
    assert code == -signal.SIGKILL, output
    (project.folder / "conftest.py").unlink()
    assert cached(project) == (0, 3, True)


# Where it is, and how large


def test_no_cache_makes_none_and_reads_none(project: Project) -> None:
    project.data()
    assert cached(project, *NDCG, "--embed-no-cache") == (0, 0, True)
    assert not cache_folder().exists()
    cached(project)
    assert cached(project, *NDCG, "--embed-no-cache") == (0, 0, True)


def test_the_option_wins_over_the_environment_and_that_over_the_ini_file(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.data()
    project.write("pytest.ini", "[pytest]\nembedbench_cache = of-ini\n")
    cached(project, *NDCG, "--embed-cache=of-option")
    assert (project.folder / "of-option" / "vectors-1-0001.sqlite").exists()
    assert not cache_folder().exists()
    assert cached(project) == (0, 0, True)
    assert cache_folder().exists()
    monkeypatch.delenv("EMBEDBENCH_CACHE")
    assert not (project.folder / "of-ini").exists()
    assert cached(project) == (0, 0, True)
    assert (project.folder / "of-ini").exists()


def test_the_bound_of_the_ini_file(project: Project) -> None:
    words = [f"word{number}" for number in range(8)]
    project.data(docs={f"d{n}": " ".join(words[: n % 8]) + str(n) for n in range(300)}, qrels={"q1": {"d1": 1}})
    cached(project, *NDCG, "--embed-batch-tokens=512", "-o", "embedbench_cache_size=0.3 MB")
    assert (cache_folder() / "vectors-1-0001.sqlite").stat().st_size <= 300_000
    assert 0 < cached(project).documents < 300


def test_a_wrong_bound_ends_the_session_before_it_begins(project: Project) -> None:
    project.data()
    result = project.run(*NDCG, "-o", "embedbench_cache_size=much")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: embedbench_cache_size: 'much' is not a size", "  fix: write it as '5GB', in MB, *"]
    )


def test_the_command_shows_what_runs_left(project: Project) -> None:
    project.data()
    cached(project)
    done = CliRunner().invoke(main, ["cache"])
    assert done.exit_code == 0, done.output
    rows = [line.split()[:5] for line in done.output.splitlines()[3:]]
    assert sorted(rows) == [
        ["sentence-transformers/all-MiniLM-L6-v2", "document", "fp32", "cpu", "6"],
        ["sentence-transformers/all-MiniLM-L6-v2", "query", "fp32", "cpu", "4"],
    ]
    assert CliRunner().invoke(main, ["cache", "prune", "--all"]).exit_code == 0
    assert cached(project) == (0, 0, True)


# Faults


@pytest.mark.parametrize("more", [(), ("-W", "error"), ("-n", "2")], ids=" ".join)
def test_a_broken_cache_is_a_note_and_no_failure(project: Project, more: tuple[str, ...]) -> None:
    if "-n" in more:
        pytest.importorskip("xdist")
    project.suite("ndcg@10 >= 0.5", "recall@1 >= 0.75")
    cached(project)
    (cache_folder() / "vectors-1-0001.sqlite").write_bytes(b"not a database" * 999)
    shutil.rmtree(project.folder / "embedbench-out")
    result = (project.spawn if "-n" in more else project.run)("embedbench.toml", *more)
    assert result.ret == 0
    (note,) = [line for line in result.outlines if line.startswith("note: embedding cache: ")]
    assert note.endswith("vectors-1-0001.broken, and a new one was begun")
    assert cached(project) == (6, 4, False)


def test_a_cache_that_cannot_be_written_is_a_note_and_no_failure(project: Project) -> None:
    project.data()
    cache_folder().write_text("a file where the folder should be", "utf-8")
    result = project.run(*NDCG)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["note: embedding cache: off for this session: */*-cache: *"])
