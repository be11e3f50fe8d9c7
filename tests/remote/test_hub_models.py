"""MiniLM from a Hub on this machine: the weights of the installed package, downloaded, checked and evaluated for real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.remote.conftest import LocalHub, Machine

OFFLINE_CONFTEST = """
import socket

opened = []

class NoSocket(socket.socket):
    def __init__(self, *arguments, **keywords):
        opened.append(arguments)
        raise AssertionError("a socket was opened")

def refuse(*arguments, **keywords):
    opened.append(arguments)
    raise AssertionError("the network was asked")

socket.socket = NoSocket
socket.create_connection = refuse
socket.getaddrinfo = refuse

def pytest_sessionfinish(session, exitstatus):
    print("sockets:", len(opened))
"""


PLAIN = ("-q", "-p", "no:hypothesispytest", "-p", "no:anyio", "--embed-profile-seconds=0.5")
QUALITY = ("--embed-no-conformance", "-k", "quality")

DOWNLOAD = """
from pytest_embedbench.models.registry import locate
from pytest_embedbench.models.spec import ModelSpec, NamedModel
locate(NamedModel(alias="m", spec=ModelSpec(hub="org/minilm")))
"""


@pytest.fixture(scope="session")
def weights(minilm_folder: Path) -> dict[str, bytes]:
    """Return the files of MiniLM, and some of the kind that nobody wants."""
    files = {
        path.relative_to(minilm_folder).as_posix(): path.read_bytes()
        for path in minilm_folder.rglob("*")
        if path.is_file()
    }
    return {**files, "pytorch_model.bin": b"\x80pickle", "modeling.py": b"raise SystemExit"}


def passing(machine: Machine, *options: str) -> str:
    """Run pytest, whose tests pass; what it printed."""
    done = machine.run("-m", "pytest", *PLAIN, *options)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    return text


def stored(machine: Machine, below: str, dataset: str = "builtin") -> dict[str, Any]:
    (path,) = (machine.folder / below).glob(f"*/*/{dataset}.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_minilm_of_the_hub_scores_as_the_package_does(
    hub: LocalHub, machine: Machine, weights: dict[str, bytes]
) -> None:
    commit = hub.add("models", "org/minilm", weights)
    passing(machine, "--embed-model=org/minilm", *QUALITY, "--embed-results=hub")
    passing(machine, "--embed-model=minilm", *QUALITY, "--embed-results=package")
    downloaded, packaged = stored(machine, "hub"), stored(machine, "package")
    assert downloaded["embedbench"]["means"] == packaged["embedbench"]["means"]
    assert downloaded["embedbench"]["means"]["ndcg@10"] > 0.5
    assert downloaded["embedbench"]["model"]["revision"] == commit
    assert downloaded["embedbench"]["model"]["fingerprint"] == packaged["embedbench"]["model"]["fingerprint"]
    fetched = {line.rpartition("/")[2] for line in hub.seen() if line.startswith("GET") and "/resolve/" in line}
    assert "model.safetensors" in fetched
    assert not {"pytorch_model.bin", "modeling.py"} & fetched


def test_damaged_weights_are_refused(hub: LocalHub, machine: Machine, weights: dict[str, bytes]) -> None:
    hub.add("models", "org/minilm", weights)
    hub.behave(corrupt="model.safetensors")
    done = machine.run("-m", "pytest", *PLAIN, *QUALITY, "--embed-model=org/minilm")
    assert done.returncode == 1
    text = done.stdout + done.stderr
    assert "model 'org/minilm': org/minilm: model.safetensors has the digest" in text
    assert "fix: run again with a connection" in text
    assert not list(machine.cache.rglob("model.safetensors"))


def test_offline_opens_no_socket_and_runs_on_what_is_here(
    hub: LocalHub, machine: Machine, weights: dict[str, bytes]
) -> None:
    """The package and the built-in data first, with an empty cache; then a model and a dataset of a filled one."""
    from pytest_embedbench.datasets.spec import BUILTIN, DatasetSpec, dataset_path
    from tests.support.layouts import repository

    hub.add("models", "org/minilm", weights)
    commit = hub.add("datasets", "org/data", repository(dataset_path(DatasetSpec(path=BUILTIN)), "jsonl"))
    (machine.folder / "conftest.py").write_text(OFFLINE_CONFTEST)
    text = passing(machine, "--embed-model=minilm", "--embed-offline", "--embed-results=first", "-s")
    assert "sockets: 0" in text
    assert hub.seen() == []

    assert machine.run("-c", DOWNLOAD).returncode == 0
    assert "error" not in machine.load({"hub_dataset": "org/data"})
    hub.behave()
    these = ("--embed-model=org/minilm", "--embed-dataset=org/data", "--embed-offline", *QUALITY)
    text = passing(machine, *these, "--embed-results=offline", "-s")
    assert "sockets: 0" in text
    assert hub.seen() == []
    found = stored(machine, "offline", "org__data")
    assert found["embedbench"]["means"] == stored(machine, "first")["embedbench"]["means"]
    assert found["dataset_revision"] == commit


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--embed-model=http://127.0.0.1:9/v1#served"],
            "--embed-offline: model '127.0.0.1:9#served' is behind http://127.0.0.1:9/v1\n  fix: test it without this option",
        ),
        (
            ["--embed-model=org/absent"],
            "--embed-offline: model 'org/absent': org/absent is not in the local Hub cache",
        ),
        (
            ["--embed-model=minilm", "--embed-dataset=org/absent"],
            "--embed-dataset: dataset 'org/absent' is known, but its files are not here: org/absent is not in the local",
        ),
    ],
    ids=["endpoint", "model", "dataset"],
)
def test_offline_what_is_not_here_is_said_before_anything_runs(
    hub: LocalHub, machine: Machine, options: list[str], message: str
) -> None:
    (machine.folder / "conftest.py").write_text(OFFLINE_CONFTEST)
    done = machine.run("-m", "pytest", *PLAIN, *options, "--embed-offline")
    assert done.returncode == 4, done.stdout + done.stderr
    assert message in done.stderr
    assert "torch" not in done.stderr
    assert hub.seen() == []


def test_the_option_ends_with_its_session(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    pytester.makepyfile(
        """
        import os
        from pytest_embedbench.remote import hub

        def test_offline(request):
            assert hub.offline() == request.config.getoption("embed_offline")
            assert ("HF_HUB_OFFLINE" in os.environ) == request.config.getoption("embed_offline")
        """
    )
    for options in (["--embed-offline"], []):
        pytester.runpytest_inprocess("-p", "no:hypothesispytest", "-p", "no:anyio", *options).assert_outcomes(passed=1)
