"""Servers that are loading, stop, are not there, or stand behind a gateway, as a user of pytest meets them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.test_progress import screen
from tests.support.gateway import Gateway, Refusal
from tests.support.key_forms import FORMS, KEY, shows

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

pytest.importorskip("httpx2")

LOADING = Refusal(503, "model is loading", {"Retry-After": "1.5"})


def define(project: Project, url: str, *more: str, checks: str = 'quality = ["recall@1 >= 0.75"]') -> None:
    """Write data and a suite with one model behind this address, with these lines in its definition."""
    project.data()
    lines = "\n".join(more)
    project.write(
        "embedbench.toml",
        f"[embedbench]\nmodels = ['served']\ndatasets = ['facts']\nconformance = false\n"
        f"[models.served]\nkind = 'endpoint'\nurl = '{url}'\nmodel = 'toy'\n{lines}\n[[checks]]\n{checks}\n",
    )


def test_a_server_that_is_loading_is_waited_for_and_the_terminal_says_so(project: Project) -> None:
    with Gateway(LOADING) as gateway:
        define(project, gateway.url)
        written = project.run_in_terminal()
    name = gateway.url.removesuffix("/v1")
    assert f"waiting for {name}: HTTP 503: model is loading, 1 s of 300 s" in written
    left = "\n".join(screen(written))
    assert "waiting for" not in left
    assert "1 passed" in left


def test_patience_of_the_command_line_ends_in_one_error(project: Project) -> None:
    with Gateway(*[Refusal(503, "model is loading")] * 50) as gateway:
        define(project, gateway.url)
        result = project.run("--embed-patience=0.2 s")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*model 'served': http://*/v1/embeddings: HTTP 503: model is loading",
            "*its patience is 0.2 s",
            "*fix: raise*",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    result = project.run("--embed-patience=soon")
    result.stderr.fnmatch_lines(["*--embed-patience: 'soon' is not a duration", "*fix: write it as '5 min'*"])


def test_a_server_that_stops_keeps_what_it_has_encoded(project: Project) -> None:
    more = ("patience = 0.2", "batch_texts = 1", "concurrency = 1", 'revision = "1"')
    with Gateway() as gateway:
        gateway.stop_after = 4
        define(project, gateway.url, *more)
        result = project.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*model 'served': http://*/v1/embeddings: connection refused",
            "*given up after * its patience is 0.2 s",
            "* texts were encoded before; the embedding cache has *them for the next run*",
            "*fix: start the server again, then run the same command",
        ]
    )


def test_nobody_listens_is_said_once_and_at_once(project: Project) -> None:
    with Gateway() as gateway:
        pass
    define(project, gateway.url)
    result = project.run()
    assert result.ret == 1
    port = gateway.url.removesuffix("/v1").rpartition(":")[2]
    result.stdout.fnmatch_lines(
        [f"*fix: start the server, or correct the address: nothing listens at 127.0.0.1:{port}"]
    )


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """Return a server that wants a version in the query and a key in a header, and has the variable set for it."""
    monkeypatch.setenv("GATEWAY_KEY", KEY)
    return Gateway(query={"api-version": "2024-02-01"}, headers={"api-key": KEY})


def test_a_gateway_gets_its_query_and_its_header_from_encoding_and_from_loads(project: Project, azure: Gateway) -> None:
    checks = "profile = 'b1 c1'\nbudget = ['query mean <= 60 s']"
    with azure:
        keys = ('query = { api-version = "2024-02-01" }', 'headers = { api-key = "$GATEWAY_KEY" }')
        define(project, azure.url, *keys, checks=checks)
        result = project.run("--embed-profile-seconds=0.2", f"--embed-card={project.folder / 'cards'}")
    assert result.ret == 0, result.stdout.str()
    assert {seen.path for seen in azure.seen} == {"/v1/embeddings"}
    files = [path.read_bytes().decode(errors="replace") for path in project.folder.rglob("*") if path.is_file()]
    assert any("$GATEWAY_KEY" in text for text in files), "the result names the variable"
    assert not [text for text in files if shows(text)]


def test_the_query_may_stand_in_an_address_of_the_command_line(project: Project, azure: Gateway) -> None:
    project.data()
    azure.headers = {}
    address = f"{azure.url}?api-version=2024-02-01&token=$GATEWAY_KEY"
    with azure:
        result = project.run(f"--embed-model={address}#toy", "--embed-dataset=facts", "--embed-no-conformance")
    assert result.ret == 0, result.stdout.str()
    assert all(seen.query == {"api-version": "2024-02-01", "token": KEY} for seen in azure.seen)


@pytest.mark.parametrize("place", ['headers = { api-key = "$GATEWAY_KEY" }', 'query = { api-key = "$GATEWAY_KEY" }'])
def test_values_of_gateways_are_masked_wherever_the_server_echoes_them(
    project: Project, azure: Gateway, place: str
) -> None:
    azure.refusals = [Refusal(401, " ".join(FORMS.values()), {"X-Echo": KEY})]
    azure.query = {"never": "sent"}
    with azure:
        define(project, azure.url, place)
        result = project.run("--showlocals", "--junitxml=junit.xml", "-v")
        second = project.run("--showlocals")
    assert result.ret == second.ret == 1
    result.stdout.fnmatch_lines(["*HTTP 401: [[]API key[]] *", "*fix: the server refuses GATEWAY_KEY: is it a key of*"])
    second.stdout.fnmatch_lines(["*HTTP 401: denied: *[[]API key[]]*"])
    for text in (result.stdout.str(), result.stderr.str(), second.stdout.str(), second.stderr.str()):
        assert not shows(text)
    files = [path for path in project.folder.rglob("*") if path.is_file()]
    assert project.folder / "junit.xml" in files
    assert not [path for path in files if shows(path.read_bytes().decode(errors="replace"))]


def test_a_variable_that_is_not_set_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_KEY", raising=False)
    with Gateway() as gateway:
        define(project, gateway.url, 'headers = { api-key = "$GATEWAY_KEY" }')
        result = project.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*environment variable GATEWAY_KEY: is not set; headers.api-key names it", "*fix: set it*"]
    )
    assert not gateway.seen


@pytest.mark.parametrize(
    ("stated", "outcome", "shown"),
    [
        ('hardware = "NVIDIA L4"', "passed", "L4 b1 c1"),
        ('hardware = "NVIDIA L40S"', "skipped", "binds on L4; this is NVIDIA L40S"),
        ("", "skipped", "binds on L4; the server's is not stated: give hardware in the model's definition"),
    ],
)
def test_budgets_and_cards_go_by_the_servers_hardware(project: Project, stated: str, outcome: str, shown: str) -> None:
    with Gateway() as gateway:
        define(
            project, gateway.url, stated, checks="profile = 'b1 c1'\nhardware = 'L4'\nbudget = ['query mean <= 60 s']"
        )
        result = project.run("--embed-profile-seconds=0.2", "--embed-card=cards", "-k", "budget", "-rs")
    result.assert_outcomes(**{outcome: 1}, deselected=1)
    (file,) = [path for path in project.folder.rglob("facts.json") if path.parent.name != "data"]
    stored = json.loads(file.read_text("utf-8"))["embedbench"]
    name = stated.partition('"')[2].rstrip('"') or "unknown hardware"
    environment = stored["environment"]
    assert (environment["hardware"], environment["cpu"], environment["cores"]) == (name, "", None)
    assert stored["profiles"]["b1 c1"]["hardware"] == name
    assert stored["peak_memory_bytes"] == {}
    assert stored["load_seconds"] is None
    (card,) = (project.folder / "cards").glob("*.md")
    assert shown in result.stdout.str() + card.read_text("utf-8")
