"""What names and definitions of endpoints mean, and the messages where they make no sense."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.models.spec import NamedModel, patience_seconds
from pytest_embedbench.suite.model_names import Overrides
from pytest_embedbench.suite.plan import Suite, read_suite


def suite(folder: Path, text: str, *models: str) -> Suite:
    (folder / "embedbench.toml").write_text(dedent(text), "utf-8")
    return read_suite(folder / "embedbench.toml", Overrides(models=models, folder=folder))


def model(folder: Path, text: str, *models: str) -> NamedModel:
    (pair,) = suite(folder, text, *models).pairs
    return pair.model


def test_an_address_and_a_name_are_a_model(tmp_path: Path) -> None:
    found = model(tmp_path, "", "http://localhost:8080/v1/#org/model-v2")
    assert (found.alias, found.name) == ("localhost:8080#org/model-v2",) * 2
    assert (found.spec.kind, found.spec.url, found.spec.model) == (
        "endpoint",
        "http://localhost:8080/v1",
        "org/model-v2",
    )


def test_variants_stand_at_the_end_and_share_the_model(tmp_path: Path) -> None:
    address = "https://api.example.com/v1#embed@001"
    plain, cut = model(tmp_path, "", address), model(tmp_path, "", f"{address}@dim=64@int8")
    assert cut.alias == "api.example.com#embed@001@dim=64@int8"
    assert (cut.spec.dimensions_kept, cut.spec.precision) == (64, "int8")
    assert cut.base == plain
    assert plain.spec.model == "embed@001"


def test_a_definition_says_more(tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    found = model(
        tmp_path,
        """
        [models.served]
        kind = "endpoint"
        url = "http://localhost:8080/v1"
        model = "bge-m3"
        api_key_env = "SOME_KEY"
        dimensions = 512
        encoding = "base64"
        batch_texts = 16
        batch_tokens = 4000
        concurrency = 2
        timeout = 30
        retries = 5
        tokenizer = "words"
        revision = "2026-11"
        """,
    )
    assert found.alias == "served"
    assert found.spec.tokenizer == str(tmp_path / "words")
    assert (found.spec.dimensions, found.spec.encoding, found.spec.timeout) == (512, "base64", 30)


def test_a_definition_for_a_gateway(tmp_path: Path) -> None:
    found = model(
        tmp_path,
        WHOLE.replace("/v1", "/v1?route=blue")
        + "query = { api-version = '2024-02-01' }\nheaders = { api-key = '$AZURE_KEY', x-team = 'search' }\n"
        "patience = '15 min'\nrequests_per_minute = 0.5\nhardware = 'NVIDIA L4'",
    )
    assert found.spec.query == {"api-version": "2024-02-01"}
    assert found.spec.headers == {"api-key": "$AZURE_KEY", "x-team": "search"}
    assert (patience_seconds(found.spec.patience), found.spec.requests_per_minute) == (900, 0.5)
    assert found.spec.hardware == "NVIDIA L4"


def test_the_command_lines_patience_is_that_of_every_endpoint(tmp_path: Path) -> None:
    (tmp_path / "embedbench.toml").write_text(WHOLE, "utf-8")
    overrides = Overrides(models=("m", "http://h/v1#n", "bm25"), folder=tmp_path, patience="1 h")
    served, named, local = (pair.model.spec for pair in read_suite(tmp_path / "embedbench.toml", overrides).pairs)
    assert (served.patience, named.patience, local.patience) == ("1 h", "1 h", "5 min")


def test_a_tokenizer_that_is_no_folder_is_a_hub_id(tmp_path: Path) -> None:
    text = "[models.m]\nkind='endpoint'\nurl='http://h/v1'\nmodel='m'\ntokenizer='org/model'\nmax_seq_length=100"
    assert model(tmp_path, text).spec.tokenizer == "org/model"


ENDPOINT = "[models.m]\nkind = 'endpoint'\n"
WHOLE = ENDPOINT + "url = 'http://h/v1'\nmodel = 'm'\n"
DEFINITIONS = {
    "no address": (ENDPOINT, "models.m: does not say where the endpoint is", "give url ="),
    "no model": (ENDPOINT + "url = 'http://h/v1'", "models.m: does not name a model", "give model ="),
    "no http": (ENDPOINT + "url = 'h/v1'", "models.m.url: 'h/v1' is not an http(s) address", "write it like"),
    "a folder": (WHOLE + "path = '.'", "models.m.path: has no meaning for an endpoint", "leave it out"),
    "remote code": (WHOLE + "trust_remote_code = true", "models.m.trust_remote_code: has no meaning", "leave it out"),
    "cut blindly": (WHOLE + "max_seq_length = 9", "models.m.max_seq_length: texts cannot be cut", "give tokenizer too"),
    "no limit": (WHOLE + "batch_texts = 0", "models.m.batch_texts", ""),
    "a date": (WHOLE + "query = { api-version = 2024-02-01 }", "models.m.query.api-version: Expected str", "write a text, in quotes"),
    "no table": (WHOLE + "headers = 'a=b'", "models.m.headers: Expected object", 'write a table, e.g. { name = "value" }'),
    "a key in a header": (WHOLE + "headers = { api-key = 'a-key' }", "models.m.headers: the value of api-key looks like a secret", 'put it into an environment variable NAME, and write api-key = "$NAME"'),
    "a key in a query": (WHOLE + "query = { sig = 'a-key' }", "models.m.query: the value of sig looks like a secret", "put it"),
    "two keys": (WHOLE + "api_key_env = 'K'\nheaders = { Authorization = '$K' }", "models.m.headers.Authorization: is what api_key_env sends", "leave out"),
    "a header of HTTP": (WHOLE + "headers = { Host = 'x' }", "models.m.headers.Host: is written by the client", "leave it out"),
    "no header": (WHOLE + "headers = { 'a b' = 'x' }", "models.m.headers.a b: is not an HTTP header", "write it like"),
    "twice": (WHOLE.replace("/v1", "/v1?a=1") + "query = { a = '2' }", "models.m.query.a: is in the address too", "give it in one place"),
    "twice in the address": (WHOLE.replace("/v1", "/v1?a=1&a=2"), "models.m.url: the address has a twice", "leave out"),
    "no duration": (WHOLE + "patience = '5 minutes'", "models.m.patience: '5 minutes' is not a duration", "write it as '5 min', in s, min, h"),
    "negative patience": (WHOLE + "patience = -1", "models.m.patience", "give float >= 0.0"),
    "no pace": (WHOLE + "requests_per_minute = 0", "models.m.requests_per_minute", "give float >= 0.01"),
    "a role's field": (WHOLE + "input_type = 'query'", "unknown key 'input_type'", "a field of the request that says the role is written query_parameters"),
    "another name": (WHOLE + "rpm = 3", "unknown key 'rpm'", "did you mean 'requests_per_minute'?"),
    "hardware of another kind": ("[models.m]\nhub = 'o/m'\nhardware = 'L4'", "models.m.hardware: is for endpoints", "add kind"),
    "no encoding": (WHOLE + "encoding = 'hex'", "models.m.encoding: Invalid enum value 'hex'", "give one of float, base64"),
    "no kind": ("[models.m]\nhub = 'o/m'\nurl = 'http://h/v1'", "models.m.url: is for endpoints", 'add kind = "endpoint"'),
    "too many dimensions kept": (
        WHOLE + "dimensions = 64\ndimensions_kept = 65", "the vectors of m have 64 dimensions, not 65", "keep 64",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problem", "fix"), DEFINITIONS.values(), ids=DEFINITIONS)
def test_bad_definitions(tmp_path: Path, text: str, problem: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        suite(tmp_path, text)
    assert str(caught.value).startswith("embedbench.toml: ")
    assert problem in str(caught.value)
    assert f"fix: {fix}" in str(caught.value) or not fix


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("http://localhost:8080/v1", "http://localhost:8080/v1: no model is named\n  fix: write http://localhost:8080/v1#MODEL"),
        ("http://localhost:8080/v1#", "no model is named"),
        ("http://#m", "is not an http(s) address"),
        ("http://h:x/v1#m", "is not an http(s) address: Port could not be cast"),
        ("http://h:0/v1#m", "no server has port 0"),
        ("http://[::1/v1#m", "is not an http(s) address"),
    ],
)  # fmt: skip
def test_bad_names(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        suite(tmp_path, "", name)
    assert str(caught.value).startswith("--embed-model: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize("name", ["http://me:pa55w0rd@localhost/v1#m", "http://localhost/v1?key=pa55w0rd#m"])
def test_a_secret_in_the_address_is_refused_and_not_shown(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"more than scheme, host, path|looks like a secret") as caught:
        suite(tmp_path, "", name)
    assert "pa55w0rd" not in str(caught.value)
