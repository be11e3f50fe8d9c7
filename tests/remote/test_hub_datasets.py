"""Datasets from a Hub on this machine: what is fetched, what is checked, and what is said when it cannot be had."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import BUILTIN, DatasetSpec, NamedDataset, dataset_path
from tests.support.layouts import as_jsonl, repository

if TYPE_CHECKING:
    from tests.remote.conftest import LocalHub, Machine

FOLDER = dataset_path(DatasetSpec(path=BUILTIN))
TOKEN = "hf_SecretTokenOfTheUser"  # noqa: S105 - nobody's


@pytest.fixture(scope="session")
def fingerprint() -> str:
    """Return the fingerprint of the data that the repositories here hold."""
    return load_dataset(NamedDataset(alias="builtin", spec=DatasetSpec(path=BUILTIN))).fingerprint


def added(hub: LocalHub, name: str = "org/jsonl", form: str = "jsonl") -> str:
    extra = {"load.py": b"raise SystemExit", "weights.pkl": b"\x80", "images/a.parquet": b"PAR1"}
    return hub.add("datasets", name, {**repository(FOLDER, form), **extra})


def files_asked_for(hub: LocalHub) -> set[str]:
    return {line.partition("/resolve/")[2].partition("/")[2] for line in hub.seen() if line.startswith("GET") and "/resolve/" in line}  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_dataset_is_downloaded_once_and_is_the_same(
    hub: LocalHub, machine: Machine, fingerprint: str, form: str
) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    commit = added(hub, f"org/{form}", form)
    first = machine.load({"hub_dataset": f"org/{form}"})
    assert (first["fingerprint"], first["revision"], first["split"]) == (fingerprint, commit, "test")
    wanted = set(repository(FOLDER, form))
    assert files_asked_for(hub) == wanted, "no code, no pickles, nothing of another kind"
    hub.behave()
    assert machine.load({"hub_dataset": f"org/{form}"})["fingerprint"] == fingerprint
    assert files_asked_for(hub) == set(), "all is in the cache"
    hub.behave()
    offline = machine.load({"hub_dataset": f"org/{form}"}, HF_HUB_OFFLINE="1")
    assert (offline["fingerprint"], offline["revision"]) == (fingerprint, commit)
    assert hub.seen() == []


def test_a_pinned_revision_stays_and_a_moving_one_moves(hub: LocalHub, machine: Machine, fingerprint: str) -> None:
    old = added(hub, "org/moving")
    files = repository(FOLDER, "jsonl")
    new = hub.add("datasets", "org/moving", {**files, "queries.jsonl": as_jsonl([{"_id": "q", "text": "new"}])})
    pinned = machine.load({"hub_dataset": "org/moving", "revision": old})
    assert (pinned["revision"], pinned["fingerprint"]) == (old, fingerprint)
    moving = machine.load({"hub_dataset": "org/moving"})
    assert moving["revision"] == new
    assert moving["fingerprint"] != fingerprint


def test_a_pinned_revision_that_is_here_needs_no_hub(hub: LocalHub, machine: Machine, fingerprint: str) -> None:
    commit = added(hub)
    machine.load({"hub_dataset": "org/jsonl", "revision": commit})
    hub.behave(down=503)
    assert machine.load({"hub_dataset": "org/jsonl", "revision": commit})["fingerprint"] == fingerprint
    assert hub.seen() == []


def test_a_hub_that_is_down_is_no_matter_to_what_is_here(hub: LocalHub, machine: Machine, fingerprint: str) -> None:
    commit = added(hub)
    machine.load({"hub_dataset": "org/jsonl"})
    hub.behave(down=503)
    again = machine.load({"hub_dataset": "org/jsonl"})
    assert (again["fingerprint"], again["revision"]) == (fingerprint, commit)


@pytest.mark.parametrize(
    ("form", "file"), [("jsonl", "corpus.jsonl"), ("parquet", "queries/test-00000-of-00001.parquet")]
)
def test_a_wrong_digest_is_refused_and_the_file_is_not_kept(
    hub: LocalHub, machine: Machine, fingerprint: str, form: str, file: str
) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    added(hub, f"org/{form}", form)
    hub.behave(corrupt=file)
    error = machine.load({"hub_dataset": f"org/{form}"})["error"]
    assert f": {file} has the digest " in error
    assert "and the Hub says " in error
    assert "fix: run again with a connection: the damaged file is gone, and is downloaded anew" in error
    hub.behave()
    assert machine.load({"hub_dataset": f"org/{form}"})["fingerprint"] == fingerprint
    assert files_asked_for(hub) == {file}


def test_a_file_that_was_damaged_in_the_cache_is_found_offline_too(
    hub: LocalHub, machine: Machine, fingerprint: str
) -> None:
    added(hub)
    machine.load({"hub_dataset": "org/jsonl"})
    (corpus,) = machine.cache.glob("datasets--org--jsonl/snapshots/*/corpus.jsonl")
    content = corpus.read_bytes()
    corpus.resolve().write_bytes(content.replace(b"a", b"b", 1))
    error = machine.load({"hub_dataset": "org/jsonl"}, HF_HUB_OFFLINE="1")["error"]
    assert "corpus.jsonl has the digest" in error
    assert machine.load({"hub_dataset": "org/jsonl"})["fingerprint"] == fingerprint


def test_a_content_that_is_gone_from_the_cache_is_an_error_offline_and_comes_again(
    hub: LocalHub, machine: Machine, fingerprint: str
) -> None:
    added(hub)
    machine.load({"hub_dataset": "org/jsonl"})
    (corpus,) = machine.cache.glob("datasets--org--jsonl/snapshots/*/corpus.jsonl")
    corpus.resolve().unlink()
    error = machine.load({"hub_dataset": "org/jsonl"}, HF_HUB_OFFLINE="1")["error"]
    assert "is not in the local Hub cache and the session is offline" in error
    assert machine.load({"hub_dataset": "org/jsonl"})["fingerprint"] == fingerprint


def test_what_breaks_off_is_an_error_and_nothing_half_written_is_used(
    hub: LocalHub, machine: Machine, fingerprint: str
) -> None:
    added(hub)
    hub.behave(cut="corpus.jsonl")
    error = machine.load({"hub_dataset": "org/jsonl"})["error"]
    assert "is not in the local Hub cache and could not be downloaded (" in error
    assert "fix: connect to the Hub once (hf download org/jsonl --repo-type dataset" in error
    assert "or give its folder: --embed-dataset=PATH" in error
    hub.behave()
    offline = machine.load({"hub_dataset": "org/jsonl"}, HF_HUB_OFFLINE="1")
    assert "error" in offline
    assert machine.load({"hub_dataset": "org/jsonl"})["fingerprint"] == fingerprint


@pytest.mark.parametrize(
    ("faults", "spec", "problem", "fix"),
    [
        ({}, {"hub_dataset": "org/none"}, "the Hub has no dataset org/none, or it is private", "check its name at "),
        (
            {},
            {"hub_dataset": "org/jsonl", "revision": "v7"},
            "org/jsonl has no revision 'v7'",
            "choose one of {url}/datasets/org/jsonl/commits/main",
        ),
        (
            {"gated": True},
            {"hub_dataset": "org/jsonl"},
            "org/jsonl is gated",
            "accept its terms at {url}/datasets/org/jsonl and set HF_TOKEN to a token of yours",
        ),
        (
            {"token": TOKEN},
            {"hub_dataset": "org/jsonl"},
            "the Hub has no dataset org/jsonl, or it is private",
            "check its name at {url}/datasets/org/jsonl; for a private one set HF_TOKEN to a token that may read it",
        ),
        (
            {"down": 500},
            {"hub_dataset": "org/jsonl"},
            "org/jsonl is not in the local Hub cache and could not be downloaded (",
            "connect to the Hub once (hf download org/jsonl --repo-type dataset), or give its folder",
        ),
    ],
    ids=["no such repository", "no such revision", "gated", "private", "down"],
)
def test_what_cannot_be_had_says_why_and_what_to_do(
    hub: LocalHub, machine: Machine, faults: dict[str, object], spec: dict[str, str], problem: str, fix: str
) -> None:
    added(hub)
    hub.behave(**faults)
    error = machine.load(spec)["error"]
    first, _, last = error.partition("\n")
    assert first.startswith(problem)
    assert last.startswith(f"  fix: {fix.format(url=hub.url)}")


def test_a_hub_that_does_not_answer(machine: Machine) -> None:
    error = machine.load({"hub_dataset": "org/jsonl"}, HF_ENDPOINT="http://127.0.0.1:1")["error"]
    assert "could not be downloaded (" in error
    assert "ConnectError" in error
    assert "fix: connect to the Hub once" in error


def test_a_token_opens_a_private_dataset_and_is_never_shown(hub: LocalHub, machine: Machine, fingerprint: str) -> None:
    added(hub)
    hub.behave(token=TOKEN)
    done = machine.load({"hub_dataset": "org/jsonl"}, HF_TOKEN=TOKEN)
    assert done["fingerprint"] == fingerprint
    assert TOKEN not in str(done)
    hub.behave(down=500, echo=True)
    failed = machine.load({"hub_dataset": "org/other"}, HF_TOKEN=TOKEN)
    assert "could not be downloaded" in failed["error"]
    assert TOKEN not in str(failed)
    hub.behave(token="another", echo=True)  # noqa: S106 - nobody's
    refused = machine.load({"hub_dataset": "org/other"}, HF_TOKEN=TOKEN)
    assert TOKEN not in str(refused)
    assert not [
        path for path in Path(machine.folder).rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()
    ]


def test_a_subset_fetches_its_own_files_only(hub: LocalHub, machine: Machine, fingerprint: str) -> None:
    plain = repository(FOLDER, "jsonl")
    configs = [
        f"- config_name: {lang}-{part}\n  data_files:\n  - split: test\n    path: {lang}/{part}.jsonl\n"
        for lang in ("ar", "en")
        for part in ("corpus", "queries", "qrels")
    ]
    names = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels/test.jsonl"}
    files = {f"{lang}/{part}.jsonl": plain[file] for lang in ("ar", "en") for part, file in names.items()}
    hub.add("datasets", "org/many", {"README.md": f"---\nconfigs:\n{''.join(configs)}---\n".encode(), **files})
    assert machine.load({"hub_dataset": "org/many", "subset": "en"})["fingerprint"] == fingerprint
    assert files_asked_for(hub) == {"README.md", "en/corpus.jsonl", "en/queries.jsonl", "en/qrels.jsonl"}
    assert "several subsets\n  fix: choose one of ar, en" in machine.load({"hub_dataset": "org/many"})["error"]


def test_a_repository_without_a_card(hub: LocalHub, machine: Machine, fingerprint: str) -> None:
    files = repository(FOLDER, "jsonl")
    del files["README.md"]
    hub.add("datasets", "org/bare", {**files, "notes.txt": b"x"})
    assert machine.load({"hub_dataset": "org/bare"})["fingerprint"] == fingerprint
    assert files_asked_for(hub) == set(files)
