"""Names of huggingface_hub that remote/hub_compat.py uses still exist, and without them its fallbacks work."""

from __future__ import annotations

import sys

import pytest
from huggingface_hub import constants

from pytest_embedbench.remote import hub_compat


def test_the_hub_client_has_its_address() -> None:
    assert constants.ENDPOINT.startswith("http"), "gone: hub_address() falls back to the public Hub"
    assert hub_compat.hub_address() == constants.ENDPOINT


def test_the_hub_client_reads_its_offline_switch_from_a_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(constants.HF_HUB_OFFLINE, bool), "gone: --embed-offline sets the environment variable alone"
    monkeypatch.setattr(constants, hub_compat.OFFLINE_CONSTANT, True)
    assert constants.is_offline_mode()


def test_without_the_address_messages_name_the_public_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(constants, "ENDPOINT")
    assert hub_compat.hub_address() == "https://huggingface.co"


def test_constants_are_patched_only_where_they_are_loaded_and_have_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub_compat.loaded_constants() is constants
    with monkeypatch.context() as patch:
        patch.delattr(constants, "HF_HUB_OFFLINE")
        assert hub_compat.loaded_constants() is None
    monkeypatch.delitem(sys.modules, "huggingface_hub.constants")
    assert hub_compat.loaded_constants() is None
