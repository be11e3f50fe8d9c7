"""What templates/README.md promises to templates: its examples print, and every name that it lists is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_embedbench.reports.cards import Card, render
from pytest_embedbench.reports.cards.facts import (
    Benchmarks,
    Block,
    Count,
    Counts,
    Facets,
    Field,
    Figure,
    NamedFigure,
    Overview,
    Performance,
    Quality,
    Section,
)
from pytest_embedbench.reports.leaderboard.facts import Leaderboard, ModelEntry, ModelInfo
from pytest_embedbench.reports.leaderboard.formats import filters
from pytest_embedbench.reports.leaderboard.write import write_leaderboard

TEMPLATES = Path(__file__).parents[2] / "templates"
README = (TEMPLATES / "README.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"<!-- \w+: (\S+) -->\n```jinja\n(.*?)```", README, re.DOTALL))
PAGES = ("index", "model", "compare")


@pytest.fixture
def card() -> Card:
    blocks = (
        Facets(fields=(Field(name="Domain", value="medicine"),)),
        Counts(counts=(Count(name="Corpus", figure=Figure(text="3,633")),)),
        Quality(measures=(NamedFigure(name="ndcg at 10", figure=Figure(text="0.3159")),)),
        Performance(profile="L4 b1 c16", measures=(NamedFigure(name="Query p50", figure=Figure(text="13.4ms")),)),
    )
    overview = Overview(rows=(Field(name="Architecture", value="BertModel"),))
    section = Section(name="NFCorpus", blocks=blocks)
    return Card(title="MiniLM", front_matter=(), parts=(overview, Benchmarks(sections=(section,))))


def named_in_first_column(owner: str) -> set[str]:
    """Return the attributes of ``owner`` that the README's tables list in their first column."""
    rows = re.findall(r"(?m)^\| (`[^|]*`) \|", README)
    return {name for row in rows for name in re.findall(rf"`{owner}\.(\w+)`", row)}


def test_the_example_of_a_card_prints_its_facts(card: Card, tmp_path: Path) -> None:
    template = tmp_path / "card.md.j2"
    template.write_text(EXAMPLES["card.md.j2"], "utf-8")
    page = render(card, template)
    assert page.startswith("# MiniLM\n\nBertModel\n")
    assert "nDCG@10: 0.3159 on 3,633 documents." in page
    assert "L4 b1 c16: Query p50 13.4ms" in page


def test_the_packaged_card_can_be_included(card: Card, tmp_path: Path) -> None:
    template = tmp_path / "longer.md.j2"
    template.write_text(EXAMPLES["longer.md.j2"], "utf-8")
    page = render(card, template)
    assert page.startswith(render(card))
    assert page.endswith("Ask the search team before you deploy MiniLM.\n")


def test_the_example_of_a_page_adds_to_the_packaged_one(tmp_path: Path) -> None:
    templates = tmp_path / "our-templates"
    templates.mkdir()
    (templates / "model.html.j2").write_text(EXAMPLES["model.html.j2"], "utf-8")
    entry = ModelEntry(name="minilm", page="minilm", info=ModelInfo(provider="sbert & friends"))
    write_leaderboard(Leaderboard(models=(entry,)), tmp_path / "board", template_folder=templates)
    page = (tmp_path / "board" / "models" / "minilm.html").read_text("utf-8")
    assert "Ask the search team about minilm by sbert &amp; friends." in page
    assert "Model information" in page, "the packaged block follows"


def test_card_and_section_have_the_names_that_are_listed(card: Card) -> None:
    of_card, of_section = named_in_first_column("card"), named_in_first_column("section")
    assert of_card >= {"title", "metadata", "overview", "sections", "links"}
    assert of_section >= {"name", "facets", "counts", "quality", "performance"}
    assert [name for name in of_card if not hasattr(card, name)] == []
    assert [name for name in of_section if not hasattr(card.sections[0], name)] == []
    of_blocks = re.search(r"`block\.kind` says which \((.*?)\)", README)
    assert of_blocks
    kinds = [block.__struct_config__.tag for block in Block.__args__]
    assert sorted(re.findall(r"`(\w+)`", of_blocks[1])) == sorted(map(str, kinds))


def test_the_filters_that_are_listed_are_all_there_are() -> None:
    table = README[README.index("| filter | prints |") :]
    rows = re.findall(r"(?m)^\| (`[a-z_`, ]+`) \|", table)
    assert sorted(name for row in rows for name in re.findall(r"\w+", row)) == sorted(filters("html"))


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_that_are_listed_are_those_of_the_page(page: str) -> None:
    code = (TEMPLATES / "leaderboard" / f"{page}.html.j2").read_text("utf-8")
    row = re.search(rf"(?m)^\| `{page}` \| .* \| (.*) \|$", README)
    assert row
    blocks = set(re.findall(r"{% block (\w+) %}", code)) - {"main", "title"}
    assert set(re.findall(r"`(\w+)`", row[1])) == blocks


def test_every_template_is_listed() -> None:
    files = {path.name for path in TEMPLATES.rglob("*") if path.is_file()} - {"README.md"}
    assert [name for name in files if name not in README] == []
