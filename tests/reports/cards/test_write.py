"""Cards of several models: what is wrong with one does not keep the others from being written."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from pytest_embedbench.cli import main
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.reports.cards.write import write_cards
from pytest_embedbench.results.schema import PairResult
from pytest_embedbench.results.store import Store


def of_model(result: PairResult, name: str, source: str) -> PairResult:
    spec = ModelSpec(path="/models/x", source=source)
    model = msgspec.structs.replace(result.embedbench.model, name=name, alias=name, spec=spec)
    return msgspec.structs.replace(result, embedbench=msgspec.structs.replace(result.embedbench, model=model))


@pytest.fixture
def stored(searched: tuple[Path, PairResult], tmp_path: Path) -> Store:
    """Return three models' results; the address of the second one is none."""
    store = Store(tmp_path / "stored")
    for name, source in (("org/a", "https://a.org"), ("org/b", "javascript:alert(1)"), ("org/c", "")):
        result = of_model(searched[1], name, source)
        store.save(store.path(result.embedbench.model, "facts"), result)
    return store


def test_one_cards_fault_is_one_cards(stored: Store, tmp_path: Path) -> None:
    written = write_cards(stored.results(), tmp_path / "cards")
    assert [(model, path and path.name) for model, path, _ in written] == [
        ("org/a", "org__a.md"),
        ("org/b", None),
        ("org/c", "org__c.md"),
    ]
    assert "javascript:alert(1)" in written[1].error
    assert sorted(path.name for path in (tmp_path / "cards").glob("*.md")) == ["org__a.md", "org__c.md"]


def test_models_of_two_folders_with_one_name_have_a_card_each(
    searched: tuple[Path, PairResult], tmp_path: Path
) -> None:
    """Sessions after one another: a/final, b/final, and a/final trained further."""
    store, cards = Store(tmp_path / "stored"), tmp_path / "cards"
    for folder, revision, expected in (
        ("/a/final", "sha256-1", "final.md"),
        ("/b/final", "sha256-2", "final@sha256-2.md"),
        ("/a/final", "sha256-3", "final@sha256-3.md"),
    ):
        result = of_model(searched[1], "final", "")
        model = msgspec.structs.replace(result.embedbench.model, revision=revision, spec=ModelSpec(path=folder))
        result = msgspec.structs.replace(result, embedbench=msgspec.structs.replace(result.embedbench, model=model))
        path = store.path(model, "facts")
        store.save(path, result)
        ((_, card, error),) = write_cards(store.results(path.parent), cards)
        assert not error
        assert card
        assert card.name == expected
    assert {card.name for card in cards.glob("*.md")} == {"final.md", "final@sha256-2.md", "final@sha256-3.md"}


def test_a_model_that_was_trained_further_has_the_same_card(searched: tuple[Path, PairResult], tmp_path: Path) -> None:
    store = Store(tmp_path / "stored")
    for revision in ("sha256-1", "sha256-2"):
        result = of_model(searched[1], "final", "")
        model = msgspec.structs.replace(result.embedbench.model, revision=revision)
        result = msgspec.structs.replace(result, embedbench=msgspec.structs.replace(result.embedbench, model=model))
        path = store.path(model, "facts")
        store.save(path, result)
        ((_, card, _),) = write_cards(store.results(path.parent), tmp_path / "cards")
        assert card
        assert card.name == "final.md"


def test_the_command_says_which_and_fails(stored: Store, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["card", str(stored.root), "--out", str(tmp_path / "cards")])
    assert done.exit_code == 1
    assert [Path(line).name for line in done.stdout.splitlines()] == ["org__a.md", "org__c.md"]
    assert done.stderr.startswith("Error: the card of org/b was not written: ")
