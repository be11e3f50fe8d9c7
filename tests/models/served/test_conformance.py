"""A served model is probed like a local one, and compared with its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.conformance.probes import PROBES
from pytest_embedbench.conformance.subject import Subject
from tests.models.served.conftest import named

if TYPE_CHECKING:
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from tests.models.served.conftest import Connect, Proxy


def test_a_sound_server_passes_every_probe(connect: Connect, proxy: Proxy, minilm: SentenceTransformerModel) -> None:
    keys = {"dimensions": None, "max_tokens": 256, "normalized": True, "batch_texts": 64}
    subject = Subject(named(proxy.url, **keys), connect(**keys), minilm)
    found = {name: probe.ask(subject) for name, probe in PROBES.items()}
    assert {name for name, outcome in found.items() if outcome.status == "skipped"} == {
        "declaration", "roles", "matryoshka", "direction",
    }  # fmt: skip
    assert {name: outcome.explanation for name, outcome in found.items() if outcome.status == "failed"} == {}
    assert found["parity"].value == pytest.approx(0, abs=1e-5)
    assert found["context"].measured.endswith(" tokens")


def test_a_server_that_refuses_blank_texts_is_sound(connect: Connect, proxy: Proxy) -> None:
    proxy.behave(default={"kind": "status", "status": 400, "message": "blank", "only": '[" "]'})
    outcome = PROBES["odd-texts"].ask(Subject(named(proxy.url), connect()))
    assert (outcome.status, outcome.measured) == ("passed", "0 of 9 fail")


def test_a_prompt_that_the_reference_lacks_is_no_parity(
    connect: Connect, proxy: Proxy, minilm: SentenceTransformerModel
) -> None:
    keys = {"query_prompt": "query: "}
    subject = Subject(named(proxy.url, **keys), connect(**keys), minilm)
    outcome = PROBES["parity"].ask(subject)
    assert outcome.status == "failed"
    assert "worst: 'query: " in outcome.explanation  # documents are the same
    assert "where only queries differ, the prompt" in outcome.explanation
    assert max(value for name, value in outcome.values.items() if name.startswith("document: ")) < 1e-5


def test_a_server_that_sees_less_than_it_is_said_to_is_caught(connect: Connect, proxy: Proxy) -> None:
    keys = {"max_tokens": 2048}
    outcome = PROBES["context"].ask(Subject(named(proxy.url, **keys), connect(**keys)))
    assert outcome.status == "failed"  # MiniLM sees 256 tokens, and this server cuts in silence
    assert "2048 are declared" in outcome.explanation
    assert "num_ctx in Ollama" in outcome.explanation
