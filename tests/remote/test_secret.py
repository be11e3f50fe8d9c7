"""A key is removed from a text in every form in which a server may return it."""

from __future__ import annotations

import asyncio
import html
import json
import string
import time
from base64 import b64encode
from html.entities import html5
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.remote.answers import HttpAnswer, decode_answer, server_message
from pytest_embedbench.remote.client import Endpoint, Reply
from pytest_embedbench.remote.errors import EndpointError
from pytest_embedbench.remote.secret import MASK, Secret, _plain, _traced
from pytest_embedbench.remote.settings import EndpointSettings
from tests.support.key_forms import FORMS, KEY, shows

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import FakeServer

ENTITIES = {value: f"&{name}" for name, value in html5.items() if name.endswith(";") and len(value) == 1}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_masked(form: str) -> None:
    text = Secret(KEY).redacted(f"invalid key: {FORMS[form]} (see the manual)")
    assert MASK in text
    assert text.startswith("invalid key: ")
    assert text.endswith(" (see the manual)")
    assert not shows(text)
    assert len(text) < len("invalid key:  (see the manual)") + len(MASK) + 40, "hardly more than the key's surroundings"


@pytest.mark.parametrize("form", [form for form in FORMS if form.startswith(("base64", "basic"))])
def test_what_is_left_of_base64_holds_no_part_of_the_key(form: str) -> None:
    left = Secret(KEY).redacted(FORMS[form]).replace(MASK, "")
    assert len(left) <= len("QmVhcmVyI") + len("%3D%3D") + len('""')


ESCAPES = st.sampled_from(
    [
        lambda character: character,
        lambda character: f"\\u{ord(character):04x}",
        lambda character: f"\\u{ord(character):04X}",
        lambda character: f"\\\\u{ord(character):04x}",
        lambda character: f"\\x{ord(character):02x}",
        lambda character: f"\\u{{{ord(character):x}}}",
        lambda character: json.dumps(character)[1:-1].replace("/", "\\/"),
        lambda character: f"%{ord(character):02X}",
        lambda character: f"%{ord(character):02x}",
        lambda character: f"%25{ord(character):02x}",
        lambda character: f"&#{ord(character)};",
        lambda character: f"&#x{ord(character):X};",
        lambda character: f"&amp;#{ord(character)};",
        lambda character: f"\\u0026#{ord(character)};",
        lambda character: ENTITIES.get(character, character),
        html.escape,
    ]
)
KEYS = st.text(string.ascii_letters + string.digits + string.punctuation, min_size=8, max_size=40).filter(_plain)


@given(KEYS, st.data())
def test_no_mixture_of_escapes_shows_any_key(key: str, data: st.DataObject) -> None:
    """What cannot be told from the key is gone, and nothing else is."""
    escaped = "".join(data.draw(ESCAPES)(character) for character in key)
    before, after = data.draw(st.sampled_from([("", ""), ("é: ", " ."), ('{"x": "', '"}'), ("<", ">")]))
    text = Secret(key).redacted(before + escaped + after)
    assert MASK in text
    assert key not in html.unescape(unquote(text))
    if _plain(key) not in _plain(before + MASK + after):
        assert text == before + MASK + after


@given(KEYS, st.binary(max_size=5), st.binary(max_size=5), st.integers(0, 2))
def test_no_base64_shows_any_key(key: str, before: bytes, after: bytes, padding: int) -> None:
    text = b64encode(before + key.encode() + after).decode()
    left = Secret(key).redacted(text.rstrip("=") + "=" * padding)
    assert MASK in left
    assert len(left.replace(MASK, "")) <= len(b64encode(before)) + len(b64encode(after)) + len("==")


@given(st.text(st.sampled_from("\\\\u0041x%%25;&#amp;ltS+-_\n\0é\U0001f600 "), max_size=60))
def test_the_traced_text_is_the_plain_one(text: str) -> None:
    plain, spans = _traced(text)
    assert plain == _plain(text)
    assert len(spans) == len(plain)
    assert all(0 <= start < end <= len(text) for start, end in spans)


@given(st.text(), KEYS)
def test_a_text_without_the_key_stays(text: str, key: str) -> None:
    if _plain(key) not in _plain(text):
        assert Secret(key + "0123456789").redacted(text) == text


def test_json_stays_json_when_the_key_in_it_is_masked() -> None:
    key = '"quoted\\key/'
    text = json.dumps({"path": f"C:\\{key}", "n": 1}).replace("/", "\\/")
    assert json.loads(Secret(key).redacted(text)) == {"path": f"C:{MASK}", "n": 1}


def test_the_start_and_end_that_servers_show_stay() -> None:
    assert Secret(KEY).redacted("Incorrect API key provided: sk-a****567~Z") == (
        "Incorrect API key provided: sk-a****567~Z"
    )


def test_a_large_answer_costs_milliseconds() -> None:
    text = json.dumps({"model": "org\\/model", "data": [0.0123456789] * 100_000})
    started = time.process_time()
    assert Secret(KEY).redacted(text) == text
    assert time.process_time() - started < 0.5


# What a server says, by way of the client


class Text(msgspec.Struct):
    """What an answer may hold."""

    text: str


def post(server: FakeServer, monkeypatch: pytest.MonkeyPatch, *script: dict[str, Any]) -> list[Reply[Text] | Exception]:
    """Send a request for each answer of the script; return replies and errors."""
    monkeypatch.setenv("MY_KEY", KEY)
    server.behave(*script)

    async def run() -> list[Reply[Text] | Exception]:
        outcomes: list[Reply[Text] | Exception] = []
        async with Endpoint(EndpointSettings(url=server.url, api_key_env="MY_KEY", attempts=1)) as endpoint:
            for _ in FORMS:
                try:
                    outcomes.append(await endpoint.post("/things", {}, Text))
                except EndpointError as error:
                    outcomes.append(error)
        return outcomes

    return asyncio.run(run())


def answers(status: int, body: str, kind: str = "application/json", **headers: str) -> dict[str, Any]:
    return {"kind": "status", "status": status, "body": body, "headers": {"Content-Type": kind, **headers}}


BODIES: dict[str, Callable[[str], tuple[int, str, str]]] = {
    "plain": lambda form: (400, "text/plain", f"you sent {form}"),
    "json": lambda form: (400, "application/json", json.dumps({"error": {"message": f"you sent {form}"}})),
    "other shape": lambda form: (400, "application/json", json.dumps({"error": {"headers": {"authorization": form}}})),
    "no json": lambda form: (200, "text/html", f"<p>{form}</p>"),
    "broken json": lambda form: (200, "application/json", json.dumps({"text": form})[:-1]),
    "wrong shape": lambda form: (200, "application/json", json.dumps({form: 1})),
    "media type": lambda form: (200, form, "{}"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("body", BODIES)
def test_no_form_gets_into_an_error(body: str, form: str) -> None:
    status, kind, content = BODIES[body](FORMS[form])
    answer, key = HttpAnswer(status, {"content-type": kind}, content.encode()), Secret(KEY)
    with pytest.raises(EndpointError) as caught:
        decode_answer(f"http://127.0.0.1/v1?key={FORMS[form]}", answer, Text, key)
    assert not shows(str(caught.value))
    assert not shows(server_message(answer, key))
    assert MASK in str(caught.value)


def test_no_form_gets_into_a_result_or_its_headers(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    in_headers = {name: form for name, form in FORMS.items() if name != "utf-16"}  # no header takes zeros
    script = [answers(200, json.dumps({"text": f"<{form}>"}), **{"x-echo": form}) for form in in_headers.values()]
    replies = post(server, monkeypatch, *script, answers(200, json.dumps({"text": FORMS["utf-16"]}), **{"x-echo": KEY}))
    for form, reply in zip(FORMS, replies, strict=True):
        assert isinstance(reply, Reply), form
        assert MASK in reply.value.text, form
        assert MASK in reply.headers["x-echo"], form
        assert not shows(reply.value.text + " " + reply.headers["x-echo"]), form


@pytest.mark.parametrize("status", [303, 307])
@pytest.mark.parametrize("host", ["", "http://localhost:9"])
def test_no_form_in_a_redirect_gets_into_an_error(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, status: int, host: str
) -> None:
    """Also where the redirect is followed, and what comes from there is refused."""
    targets = [quote(form, safe="/%=&?+") for form in FORMS.values() if "\0" not in form]
    redirects = [answers(status, "", Location=f"{host}/v1/{target}") for target in targets]
    followed = status == 307 and not host
    script = [step for one in redirects for step in ([one, answers(400, "no")] if followed else [one])]
    for error in post(server, monkeypatch, *script)[: len(targets)]:
        assert isinstance(error, EndpointError)
        assert ("HTTP 400" if followed else "redirects to") in str(error)
        assert not shows(str(error))
