"""``embedbench export hub``: what huggingface_hub's own classes read is what was measured; nothing is sent anywhere."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from huggingface_hub import ModelCard, parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results
from msgspec.structs import replace

from pytest_embedbench.catalog import datasets
from pytest_embedbench.errors import ResultError
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.reports.cards.build import build_card
from pytest_embedbench.reports.cards.hub_readme import readme
from pytest_embedbench.reports.cards.rendering import render
from pytest_embedbench.results.hub_metadata import dump_entries, eval_entries
from pytest_embedbench.results.schema import PairResult
from pytest_embedbench.results.store import Store
from tests.results.conftest import embedbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_embedbench.engine.pair_work import PairWork

HOSTILE = "org/a: b # 'c' \"d\" --- <e>"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def published(result: PairResult, **facts: str) -> PairResult:
    """Return the result as if its data were those of the catalogue's NFCorpus, with other facts where given."""
    details = result.embedbench
    spec = replace(datasets()["NFCorpus"].facts(), **facts)
    dataset = replace(details.dataset, name="nfcorpus", facts=spec)
    return replace(result, embedbench=replace(details, dataset=dataset))


def with_model(result: PairResult, name: str, spec: ModelSpec, revision: str = "") -> PairResult:
    details = result.embedbench
    model = replace(details.model, name=name, spec=spec, revision=revision)
    return replace(result, embedbench=replace(details, model=model))


def save(folder: Path, *results: PairResult) -> Path:
    store = Store(folder)
    for result in results:
        store.save(store.path(result.embedbench.model, result.embedbench.dataset.name), result)
    return folder


def test_a_readme_is_the_card_with_a_model_index(evaluate: Callable[[str], PairWork], tmp_path: Path) -> None:
    work = evaluate("builtin")
    done = embedbench("export", "hub", tmp_path / "results", "--out", tmp_path / "hub")
    assert done.exit_code == 0, done.output
    path = tmp_path / "hub" / "embedbench__bm25" / "README.md"
    assert done.output.splitlines() == [
        str(path), "note: in the README only, since nothing says where on the Hub they are (hub_dataset): builtin"
    ]  # fmt: skip
    card = ModelCard.load(path)
    assert card.data.model_name == "embedbench/bm25"
    assert card.data.license == "mit"
    assert card.data.get("library_name") is None, "BM25 is no sentence-transformers model"
    found = {one.metric_name: one.metric_value for one in card.data.eval_results or ()}
    assert found == work.means
    assert (card.data.eval_results or [])[0].metric_type == "ndcg_at_10"
    front = msgspec.yaml.decode(path.read_text("utf-8").split("---\n")[1])
    name, entries = model_index_to_eval_results(front["model-index"])
    assert (name, entries) == ("embedbench/bm25", card.data.eval_results)
    assert {(one.dataset_name, one.dataset_split, one.dataset_revision) for one in entries} == {
        ("builtin", "test", None)
    }
    own = render(build_card([work.result]))
    assert card.text.lstrip("\n") == own[own.index("# embedbench/bm25") :], "the rest is the card's own text"


def test_a_dataset_on_the_hub_gets_an_entry_as_mteb_uploads_them(
    evaluate: Callable[[str], PairWork], tmp_path: Path
) -> None:
    result = published(evaluate("builtin").result)
    result = with_model(result, "org/model", ModelSpec(precision="int8", dimensions=8, licence="Apache-2.0"))
    out = tmp_path / "hub"
    url = "https://example.org/evidence?a=1&b='2'"
    done = embedbench("export", "hub", save(tmp_path / "one", result), "--out", out, "--source-url", url)
    assert done.exit_code == 0, done.output
    assert "note" not in done.output
    path = out / "org__model" / ".eval_results" / "nfcorpus.yaml"
    (entry,) = parse_eval_result_entries(msgspec.yaml.decode(path.read_text("utf-8")))
    assert (entry.dataset_id, entry.task_id) == ("mteb/nfcorpus", "NFCorpus_default_test")
    assert entry.value == pytest.approx(100 * result.embedbench.means["ndcg@10"], abs=1e-5)
    assert entry.dataset_revision is None, "a fingerprint of ours is no commit of the Hub's"
    assert entry.date == result.embedbench.measured_on
    assert (entry.source_url, entry.source_name) == (url, "pytest-embedbench")
    assert entry.notes is not None
    assert entry.notes.endswith(", int8")
    data = ModelCard.load(out / "org__model" / "README.md").data
    assert (data.library_name, data.license) == ("sentence-transformers", "apache-2.0")
    (dataset_type,) = {one.dataset_type for one in data.eval_results or ()}
    assert dataset_type == "mteb/nfcorpus"


def test_published_numbers_keep_their_source_and_commit(tmp_path: Path, shared: Path) -> None:
    rows = shared / "reference" / "mteb_published.json"
    assert embedbench("import-mteb", rows, "--out", tmp_path / "pub").exit_code == 0
    folder = tmp_path / "pub" / "Qwen__Qwen3-Embedding-0.6B"
    assert embedbench("export", "hub", folder, "--out", tmp_path / "hub").exit_code == 0
    path = tmp_path / "hub" / folder.name / ".eval_results" / "NFCorpus.yaml"
    (entry,) = parse_eval_result_entries(msgspec.yaml.decode(path.read_text("utf-8")))
    assert entry.dataset_revision == "ec0fa4fe99da2ff19ca1214b7966684033a58814"
    assert entry.value == pytest.approx(36.71, abs=0.005)
    assert entry.notes == "Obtained using MTEB 1.38.9"


def test_names_stay_what_they_are(evaluate: Callable[[str], PairWork]) -> None:
    result = published(evaluate("builtin").result, hub_dataset="org/x: y", mteb_task="#task\n")
    result = with_model(result, HOSTILE, ModelSpec(licence="a: b", base_model="org/base # x"))
    data = ModelCard(readme([result], "https://example.org/'#x: y'")).data
    assert (data.get("model_name"), data.get("license"), data.get("base_model")) == (HOSTILE, "a: b", "org/base # x")
    text = dump_entries(eval_entries(result))
    (entry,) = parse_eval_result_entries(msgspec.yaml.decode(text))
    assert (entry.dataset_id, entry.task_id) == ("org/x: y", "#task\n_default_test")


def test_what_would_be_read_differently_is_refused(evaluate: Callable[[str], PairWork], tmp_path: Path) -> None:
    result = evaluate("builtin").result
    nothing = replace(result, embedbench=replace(result.embedbench, means={}))
    with pytest.raises(ResultError, match="nothing was scored"):
        readme([nothing])
    one = published(result)
    twin = replace(one, embedbench=replace(one.embedbench, dataset=replace(one.embedbench.dataset, name="a twin")))
    with pytest.raises(ResultError, match="would read other"):
        readme([one, twin])
    two = [with_model(result, "org/m", ModelSpec(), revision) for revision in ("r1", "r2")]
    done = embedbench("export", "hub", save(tmp_path / "two", *two), "--out", tmp_path / "hub")
    assert done.exit_code == 1
    assert "org/m: results of several revisions: r1, r2" in done.output
    assert not (tmp_path / "hub").exists()


def test_bad_arguments(tmp_path: Path, evaluate: Callable[[str], PairWork]) -> None:
    (tmp_path / "empty").mkdir()
    empty = embedbench("export", "hub", tmp_path / "empty", "--out", tmp_path / "hub")
    assert "holds no results" in empty.output
    evaluate("builtin")
    url = embedbench("export", "hub", tmp_path / "results", "--out", tmp_path / "hub", "--source-url", "javascript:x")
    assert "is not an http(s) address" in url.output
    assert empty.exit_code
    assert url.exit_code
