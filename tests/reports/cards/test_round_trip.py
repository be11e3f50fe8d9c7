"""The round trip, held over pages made from others and over cards made from any texts."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_embedbench.reports.cards import (
    Benchmarks,
    Block,
    Card,
    CardError,
    Count,
    Counts,
    Facets,
    Field,
    Figure,
    HighestRate,
    Link,
    NamedFigure,
    Overview,
    Performance,
    Plot,
    Quality,
    Rates,
    Reference,
    Section,
    TextBlock,
    parse,
    render,
)
from pytest_embedbench.reports.cards import format as printed
from pytest_embedbench.reports.text import item, link_text, link_url, one_line, yaml_value

T = TypeVar("T")
PAGE = (Path(__file__).parent / "page.md").read_bytes().decode("utf-8")

# A machine that is busy with other work says nothing about cards: no deadline, no complaint about slow examples.
untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
more = settings(untimed, max_examples=300)


@st.composite
def changed(draw: st.DrawFn, things: list[T]) -> list[T]:
    """Return some of the things, any of them repeated, in any order."""
    indices = draw(st.lists(st.integers(0, len(things) - 1), max_size=2 * len(things))) if things else []
    return [things[index] for index in indices]


@st.composite
def changed_page(draw: st.DrawFn, page: str) -> str:
    """Return a page of the same form: lines, blocks, sections and items dropped, repeated, in other order."""
    opening, _, body = page.partition("\n---\n\n")
    head, *parts = body.removesuffix("\n").split("\n\n## ")
    title, *introduction = head.split("\n\n")
    *description, links = introduction
    blocks = [title, *draw(changed(description))]
    if lines := draw(changed(links.split("\n"))):
        blocks.append("\n".join(lines))
    for part in draw(changed(parts)):
        heading, _, content = part.partition("\n\n")
        blocks.append(f"## {heading}")
        if heading == "Overview" and draw(st.booleans()):
            names, rule, *rows = content.split("\n")
            blocks.append("\n".join([names, rule, *draw(changed(rows))]))
        for section in draw(changed(f"\n\n{content}".split("\n\n### ")[1:])):
            name, *inside = section.split("\n\n")
            blocks.append(f"### {name}")
            blocks.extend(draw(fewer_items(block)) for block in draw(changed(inside)))
    front_matter = ""
    if draw(st.booleans()):
        front_matter = "\n".join(["---", *draw(changed(opening.split("\n")[1:])), "---\n\n"])
    return front_matter + "\n\n".join(blocks) + draw(st.sampled_from(["", "\n", "\n\n"]))


@st.composite
def fewer_items(draw: st.DrawFn, block: str) -> str:
    """Return the line with its items dropped, repeated or in other order; at least one stays."""
    if " · " not in block:
        return block
    label, colon, items = block.partition(":** ") if block.startswith("**") else ("", "", block)
    kept = draw(changed(items.split(" · "))) or items.split(" · ")
    return label + colon + " · ".join(kept)


@st.composite
def broken_page(draw: st.DrawFn, page: str) -> str:
    """Return the page with a few lines, blank ones too, dropped, repeated, moved or cut."""
    lines = page.split("\n")
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(lines) - 1))
        line = lines.pop(index)
        change = draw(st.sampled_from(["drop", "repeat", "move", "cut", "insert"]))
        if change == "repeat":
            lines[index:index] = [line, line]
        elif change == "move":
            lines.insert(draw(st.integers(0, len(lines))), line)
        elif change == "cut":
            lines.insert(index, line[: draw(st.integers(0, len(line)))])
        elif change == "insert":
            lines[index:index] = [
                draw(st.text(st.sampled_from("#*|: -·[]()\\1K \r\u2028"), max_size=8)),
                line,
            ]
        lines = lines or [""]
    return "\n".join(lines)


def comes_back_or_is_refused(page: str) -> None:
    try:
        card = parse(page)
    except CardError as error:
        assert error.line is not None
        assert 1 <= error.line <= page.count("\n") + 1
        assert "expected" in str(error)
    else:
        assert render(card) == page


@untimed
@given(changed_page(PAGE))
def test_a_page_of_the_form_comes_back(page: str) -> None:
    assert render(parse(page)) == page


@untimed
@given(st.data())
def test_a_page_made_from_the_reference_comes_back(reference_page: str, data: st.DataObject) -> None:
    page = data.draw(changed_page(reference_page))
    assert render(parse(page)) == page


@more
@given(broken_page(PAGE))
def test_a_broken_page_comes_back_or_is_refused(page: str) -> None:
    comes_back_or_is_refused(page)


@untimed
@given(st.text(st.sampled_from("#-: \n|*[]()ab1·\\") | st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_or_is_refused(text: str) -> None:
    comes_back_or_is_refused(text)
    comes_back_or_is_refused("# t\n\n" + text)
    comes_back_or_is_refused("# t\n\n## Benchmarks\n\n### a\n\n" + text)


# Any text, with the page's own marks often in it; blank ones have no place on a page.
outside = st.lists(
    st.text(max_size=12)
    | st.sampled_from(
        ["#", "## Benchmarks", "\n", "\n\n", "|", " · ", "**Quality:** ", "Corpus: 5", "[a](b)", "![a](b)", "\\"]
    )
    | st.sampled_from(["Source: ", "---", ": ", "](", ")", "{{ 1 }}", "ndcg at 10: 0.5", " 5", "<!--", "):** "]),
    max_size=4,
).map("".join)
line = outside.map(one_line).filter(bool)
cell = outside.map(lambda text: one_line(text, cell=True))
name = outside.map(item).map(lambda text: text.replace(":", "")).map(str.strip).filter(bool)
value = outside.map(item)
url = outside.map(lambda text: link_url(f"https://example.org/{text}"))
scores = st.floats(-1, 1).map(printed.score)
speeds = st.floats(0, 1e9).map(printed.rate) | st.floats(0, 1e6).map(printed.latency)
metric = st.sampled_from(["ndcg@10", "map@10", "mrr@10", "recall@100", "map"]).map(printed.metric_label)
speed = st.sampled_from(["Corpus", "Corpus p50", "Query", "Query p99"])


def figures(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Figure]:
    return texts.map(lambda text: Figure(text=text))


def tuples(things: st.SearchStrategy[T], least: int = 0) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(things, min_size=least, max_size=3).map(tuple)


counts = st.builds(
    Count,
    name=st.sampled_from(["Corpus", "Queries"]),
    figure=figures(st.integers(0, 10**9).map(printed.count)),
    note=value,
)
facets = st.builds(Field, name=st.sampled_from(["Domain", "Task", "Language"]), value=value)
request_rates = figures(st.floats(0, 1e6).map(printed.request_rate))
rates = st.builds(
    HighestRate,
    side=st.sampled_from(["Query", "Corpus"]),
    batch=figures(st.integers(1, 10**4).map(printed.count)),
    limit=figures(st.floats(0, 1e6).map(printed.latency)),
    held=st.none() | request_rates,
    failed=st.none() | request_rates,
    ended=st.sampled_from(["7 rates tried, bracket narrow enough", "1 rate tried, time was up"]),
    hardware=cell,
)
blocks: st.SearchStrategy[Block] = st.one_of(
    st.builds(Facets, fields=tuples(facets, 1)),
    st.builds(TextBlock, text=line),
    st.builds(Counts, counts=tuples(counts, 1)),
    st.builds(Quality, measures=tuples(st.builds(NamedFigure, name=metric, figure=figures(scores)), 1)),
    st.builds(
        Performance,
        profile=st.sampled_from(["", "L4 b1 c16", "Xeon (2 sockets) b8 c1"]),
        measures=tuples(st.builds(NamedFigure, name=speed, figure=figures(speeds)), 1),
    ),
    st.builds(Rates, rows=tuples(rates)),
    st.builds(Plot, text=outside.map(link_text), url=st.sampled_from(["a.b1-c4.svg", "a%20b.svg"])),
    st.builds(Reference, text=outside.map(link_text), url=url),
)
cards = st.builds(
    Card,
    title=line,
    front_matter=st.none()
    | tuples(st.builds(Field, name=st.sampled_from(["title", "license"]), value=outside.map(yaml_value))),
    description=tuples(line),
    links=tuples(
        st.builds(
            Link,
            label=st.sampled_from(["Source", "Base model"]),
            text=outside.map(link_text),
            url=url,
        )
    ),
    parts=tuples(
        st.builds(Overview, rows=st.none() | tuples(st.builds(Field, name=cell, value=cell)))
        | st.builds(Benchmarks, sections=tuples(st.builds(Section, name=line, blocks=tuples(blocks))))
    ),
    end=st.sampled_from(["", "\n"]),
)


@more
@given(cards)
def test_a_card_of_any_texts_made_safe_comes_back(card: Card) -> None:
    page = render(card)
    assert parse(page) == card
    assert msgspec.json.decode(msgspec.json.encode(card), type=Card) == card


@untimed
@given(cards)
def test_a_card_of_any_texts_goes_to_toml_and_back(card: Card) -> None:
    pytest.importorskip("tomli_w", reason="msgspec writes TOML with tomli_w")
    assert msgspec.toml.decode(msgspec.toml.encode(card), type=Card) == card
