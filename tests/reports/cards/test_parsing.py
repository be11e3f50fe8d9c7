"""Facts from pages, and what is said about pages of another form."""

from __future__ import annotations

import msgspec
import pytest

from pytest_embedbench.reports.cards import (
    Card,
    CardError,
    Counts,
    Facets,
    Figure,
    Performance,
    Quality,
    Reference,
    TextBlock,
    parse,
    render,
)
from pytest_embedbench.reports.cards.grammar import RATES_HEAD


def test_reference_page_comes_back_byte_for_byte(reference_page: str) -> None:
    card = parse(reference_page)
    assert render(card).encode() == reference_page.encode()


def test_reference_page_facts(reference_page: str) -> None:
    card = parse(reference_page)
    assert card.title == "Qwen/Qwen3-Embedding-4B"
    assert list(card.metadata) == ["title", "description", "canonical_url", "last_updated"]
    assert Figure(text=card.overview["Parameters"]).value == 4e9
    assert [section.name for section in card.sections] == ["FiQA2018", "NFCorpus", "NanoFiQA2018Retrieval"]
    fiqa = card.section("FiQA2018")
    assert fiqa.facets == {"Domain": "finance", "Task": "retrieval", "Language": "en"}
    assert {name: count.value for name, count in fiqa.counts.items()} == {"Corpus": 57599, "Queries": 648}
    assert {name: figure.value for name, figure in fiqa.quality.items()} == {
        "ndcg at 10": 0.1447,
        "map at 10": 0.1137,
        "mrr at 10": 0.0335,
    }
    assert fiqa.performance == []
    (speed,) = card.section("NFCorpus").performance
    assert speed.profile == "L4 b1 c16"
    assert [(name, figure.value, figure.unit) for name, figure in speed.figures.items()] == [
        ("Corpus", 6100.0, "tok/s"),
        ("Corpus p50", 553.1, "ms"),
        ("Query", 333.0, "tok/s"),
        ("Query p50", 150.1, "ms"),
    ]
    assert card.section("NanoFiQA2018Retrieval").counts == {}


def test_our_page_comes_back_byte_for_byte(page: str) -> None:
    assert render(parse(page)) == page


def test_our_page_facts(page: str) -> None:
    card = parse(page)
    assert card.metadata["license"] == ""
    assert len(card.description) == 2
    assert [(link.label, link.text, link.url) for link in card.links] == [
        ("Source", "acme/tiny-embed on HuggingFace", "https://example.org/acme/tiny-embed"),
        ("Base model", "acme/tiny [base]", "https://example.org/wiki/Tiny_(base)"),
        ("Base model", "./local/checkpoint", None),
    ]
    assert card.link("Base model") == card.links[1]
    assert card.link("Paper") is None
    assert card.overview["Dimensions"] == r"Dense: 1,024 \| Sparse: 30,522"
    assert card.overview["License"] == ""
    parrots = card.section("Parrots")
    assert [type(block) for block in parrots.blocks] == [
        Facets,
        TextBlock,
        TextBlock,
        Counts,
        Quality,
        Performance,
        Performance,
        Reference,
    ]
    assert parrots.counts["Corpus"].value == 3633
    assert parrots.counts["Corpus"].note == "3,593 unique texts"
    assert parrots.text == ["Questions about parrots", "They talk back."]
    assert [block.profile for block in parrots.performance] == ["L4 b1 c16", "Xeon (2 sockets) b8 c1"]
    assert parrots.references == [Reference(url="https://example.org/parrots/")]
    assert card.section("Silence").blocks == ()
    toasters = card.section("Toasters")
    assert (toasters.quality, toasters.facets) == ({}, {"Language": "de"})
    assert toasters.performance[0].profile == ""
    assert toasters.references[0].text == "Paper"


@pytest.mark.parametrize(
    "page",
    [
        "# t",
        "# t\n",
        "# t\n\n\n",
        "---\n---\n\n# t\n",
        "---\na: b\na: c\n---\n\n# t\n",
        "# t\n\nSource: here\n",
        "# t\n\nSource: here\n\ntext after\n",
        "# t\n\n## Overview\n",
        "# t\n\n## Overview\n\n| Field | Value |\n|-------|-------|\n",
        "# t\n\n## Benchmarks\n",
        "# t\n\n## Benchmarks\n\n## Overview\n\n## Benchmarks\n\n### a\n\n### a\n",
        "# t\n\n## Benchmarks\n\n### a\n\nCorpus: a collection of letters\n",
        "# t\n\n## Benchmarks\n\n### a\n\nDomain: one · not a pair\n",
        "# t\n\n## Benchmarks\n\n### a\n\n#1 of its kind\u2028still · \x0b the same line\n",
        "# t\n\n## Benchmarks\n\n### a\n\n[Reference]()\n",
        "# t\n\n## Benchmarks\n\n### a\n\n[two](https://a.example) and [links](https://b.example)\n",
    ],
)
def test_small_and_odd_pages_come_back(page: str) -> None:
    assert render(parse(page)) == page


def test_of_a_repeated_name_the_first_counts() -> None:
    page = "# t\n\n## Benchmarks\n\n### a\n\n**Quality:** f1: 0.1 · f1: 0.2\n\n**Quality:** f1: 0.3 · map: 0.4\n"
    section = parse(page).section("a")
    assert {name: figure.value for name, figure in section.quality.items()} == {"f1": 0.1, "map": 0.4}
    assert len(section.blocks) == 2


SECTION = "# t\n\n## Benchmarks\n\n### a\n\n"


@pytest.mark.parametrize(
    ("page", "line", "message"),
    [
        ("", 1, "expected a line with text, found a blank line"),
        ("\n# t\n", 1, "found a blank line"),
        ("text\n", 1, "expected '# <title>', found 'text'"),
        ("\ufeff# t\n", 1, "expected '# <title>'"),
        ("# \n", 1, "expected '# <title>', found '# '"),
        ("---\na: b\n", 2, "expected '---' at the end of the front matter"),
        ("---\na: b\n---\n", 3, "expected '# <title>'"),
        ("---\n- b\n---\n\n# t\n", 2, "expected 'key: value' or '---' in the front matter, found '- b'"),
        ("---\na: b\n---\n# t\n", 4, "expected a blank line after the front matter, found '# t'"),
        ("---\na: b\na: \n---\n\n# t\n", 3, "expected 'a:', found 'a: '"),
        ("# t\r\n\r\ntext\r\n", 1, "expected lines that end in LF alone, found a carriage return (CR)"),
        ("# t\n\na\rb\n", 3, "a carriage return"),
        ("# t\ntext\n", 2, "expected a blank line after the heading, found 'text'"),
        ("# t\n\n\ntext\n", 3, "found a blank line"),
        ("# t\n\n# u\n", 3, "expected a paragraph, a link, '## Overview' or '## Benchmarks', found '# u'"),
        ("# t\n\n### a\n", 3, "found '### a'"),
        ("# t\n\ntext\n## Overview\n", 4, "found '## Overview'"),
        ("# t\n\n## Usage\n", 3, "expected '## Overview' or '## Benchmarks', found '## Usage'"),
        ("# t\n\n## Overview\n\n| Field |\n", 5, "expected '| Field | Value |', found '| Field |'"),
        ("# t\n\n## Overview\n\n| Field | Value |\n", 6, "expected '|-------|-------|', found the end"),
        (
            "# t\n\n## Overview\n\n| Field | Value |\n|-------|-------|\n| a | b | c |\n",
            7,
            "expected a row '| field | value |', found '| a | b | c |'",
        ),
        (
            "# t\n\n## Overview\n\n| Field | Value |\n|-------|-------|\n\ntext\n",
            8,
            "expected '## Overview' or '## Benchmarks', found 'text'",
        ),
        ("# t\n\n## Benchmarks\n\ntext\n", 5, "expected '### <dataset>', found 'text'"),
        (SECTION + "**Quality:** ndcg at 10 0.1\n", 7, "ndcg at 10: 0.1234"),
        (SECTION + "**Quality:**\n", 7, "expected '**Quality:** ndcg at 10"),
        (SECTION + "**Quality:** ndcg at 10: good\n", 7, "found 'ndcg at 10: good'"),
        (SECTION + "**Performance (L4):** Corpus fast\n", 7, "found 'Corpus fast'"),
        (SECTION + "**Performance L4:** Corpus 1 tok/s\n", 7, "expected '**Performance (L4 b1 c16):**"),
        (SECTION + f"{RATES_HEAD[0]}\n", 8, "expected '|------|---"),
        (
            SECTION + f"{RATES_HEAD[0]}\n{RATES_HEAD[1]}\n| Query | 1 |\n",
            9,
            "a row '| Query | 1 | 500.0ms | 70.0 requests/s",
        ),
        (
            SECTION + f"{RATES_HEAD[0]}\n{RATES_HEAD[1]}\n| Query | 1 | 9.0ms | fast | none | time was up | L4 |\n",
            9,
            "found '| Query | 1 | 9.0ms | fast | none | time was up | L4 |'",
        ),
        (SECTION + f"text\n{RATES_HEAD[0]}\n", 8, "a blank line before the table"),
        (SECTION + "[Reference](a b)\n", 7, "expected '[Reference](address)'"),
        (SECTION + "#### b\n", 7, "found '#### b'"),
        (SECTION + "Domain: x\ntext\n", 8, "expected a blank line beside the facets line, found 'text'"),
        (SECTION + "text\nCorpus: 3\n", 8, "expected a blank line beside the counts line, found 'Corpus: 3'"),
    ],
)
def test_a_page_of_another_form_is_refused(page: str, line: int, message: str) -> None:
    with pytest.raises(CardError) as caught:
        parse(page)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"line {line}: expected ")
    assert message in str(caught.value)


def test_an_unknown_section_is_named(page: str) -> None:
    with pytest.raises(KeyError, match="no section 'Cats'; the card has: Parrots, Silence, Toasters"):
        parse(page).section("Cats")


def test_a_card_can_be_stored(page: str) -> None:
    card = parse(page)
    assert msgspec.json.decode(msgspec.json.encode(card), type=Card) == card
    plain = msgspec.to_builtins(card)
    assert plain["parts"][1]["sections"][0]["blocks"][0]["kind"] == "facets"
    assert msgspec.convert(plain, Card) == card


def test_a_card_can_be_stored_as_toml(page: str) -> None:
    pytest.importorskip("tomli_w", reason="msgspec writes TOML with tomli_w")
    card = parse(page)
    assert msgspec.toml.decode(msgspec.toml.encode(card), type=Card) == card


def test_a_card_is_read_from_toml() -> None:
    text = """
    title = "t"
    [[parts]]
    kind = "benchmarks"
    [[parts.sections]]
    name = "a"
    blocks = [{kind = "quality", measures = [{name = "map", figure = {text = "0.5"}}]}]
    """
    card = msgspec.toml.decode(text, type=Card)
    assert render(card) == "# t\n\n## Benchmarks\n\n### a\n\n**Quality:** map: 0.5\n"


def test_a_stored_figure_must_be_a_number() -> None:
    with pytest.raises(msgspec.ValidationError, match="expected a number"):
        msgspec.json.decode(b'{"text": "fast"}', type=Figure)


def test_facts_are_immutable(page: str) -> None:
    card = parse(page)
    with pytest.raises(AttributeError):
        card.title = "other"  # type: ignore[misc]
    assert hash(card) == hash(parse(page))
