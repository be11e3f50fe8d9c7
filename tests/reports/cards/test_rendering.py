"""Pages from facts: the packaged template, users' templates, and the sandbox that both run in."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.reports.cards import (
    Benchmarks,
    Card,
    CardError,
    Count,
    Counts,
    Facets,
    Field,
    Figure,
    Link,
    NamedFigure,
    Overview,
    Part,
    Performance,
    Quality,
    Reference,
    Section,
    TextBlock,
    parse,
    render,
)
from pytest_embedbench.reports.cards.format import count, latency, parameters, rate, score
from pytest_embedbench.reports.text import one_line

if TYPE_CHECKING:
    from pathlib import Path


def test_a_card_built_from_values() -> None:
    card = Card(
        front_matter=(Field(name="title", value="acme/tiny"),),
        title="acme/tiny",
        description=(one_line("Small.\nVery small."),),
        links=(Link(label="Source", text="acme/tiny", url="https://example.org/tiny"),),
        parts=(
            Overview(rows=(Field(name="Parameters", value=parameters(22_713_216)),)),
            Benchmarks(
                sections=(
                    Section(
                        name="Parrots",
                        blocks=(
                            Facets(fields=(Field(name="Domain", value="zoology"),)),
                            Counts(
                                counts=(
                                    Count(
                                        name="Corpus",
                                        figure=Figure(text=count(3633)),
                                        note="3,593 unique texts",
                                    ),
                                    Count(name="Queries", figure=Figure(text=count(323))),
                                )
                            ),
                            Quality(measures=(NamedFigure(name="ndcg at 10", figure=Figure(text=score(0.41031))),)),
                            Performance(
                                profile="L4 b1 c16",
                                measures=(
                                    NamedFigure(name="Corpus", figure=Figure(text=rate(6123))),
                                    NamedFigure(name="Corpus p50", figure=Figure(text=latency(553.07))),
                                ),
                            ),
                            Reference(url="https://example.org/parrots"),
                        ),
                    ),
                )
            ),
        ),
    )
    page = """\
---
title: acme/tiny
---

# acme/tiny

Small. Very small.

Source: [acme/tiny](https://example.org/tiny)

## Overview

| Field | Value |
|-------|-------|
| Parameters | 22.7M |

## Benchmarks

### Parrots

Domain: zoology

Corpus: 3,633 (3,593 unique texts) · Queries: 323

**Quality:** ndcg at 10: 0.4103

**Performance (L4 b1 c16):** Corpus 6.1K tok/s · Corpus p50 553.1ms

[Reference](https://example.org/parrots)
"""
    assert render(card) == page
    assert parse(page) == card


def _with_text(text: str) -> Card:
    section = Section(name="a", blocks=(TextBlock(text=text),))
    return Card(title="t", parts=(Benchmarks(sections=(section,)),))


@pytest.mark.parametrize(
    "card",
    [
        Card(title=""),
        Card(title="two\nlines"),
        Card(title="t", end=" "),
        Card(title="t", front_matter=(Field(name="a", value="b\n---"),)),
        Card(title="t", description=("# heading",)),
        Card(title="t", description=("one\n\ntwo",)),
        Card(title="t", description=("Source: x",)),
        Card(title="t", parts=(Overview(rows=(Field(name="a", value="b | c"),)),)),
        _with_text(""),
        _with_text("**Quality:** ndcg at 10: 1.0000"),
        _with_text("Corpus: 5"),
        _with_text("text\n\n### b"),
        Card(title="t", parts=(Benchmarks(sections=(Section(name="a", blocks=(Quality(measures=()),)),)),)),
    ],
)
def test_a_card_that_would_read_back_as_another_is_refused(card: Card) -> None:
    with pytest.raises(CardError, match=r"(?s)(the card does not print as a card|would read back as).*reports\.text"):
        render(card)


def test_texts_made_safe_keep_their_place() -> None:
    texts = [
        "# heading",
        "one\n\ntwo",
        "Source: x",
        "**Quality:** ndcg at 10: 1.0000",
        "Corpus: 5",
        "[Reference](x)",
    ]
    for text in texts:
        assert parse(render(_with_text(one_line(text)))).section("a").quality == {}


def _template(folder: Path, text: str) -> Path:
    path = folder / "mine.md.j2"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_users_template_is_in_charge(tmp_path: Path, page: str) -> None:
    card = parse(page)
    template = _template(
        tmp_path,
        "{{ card.title }}\n"
        "{% for section in card.sections %}{{ section.name }}: {{ section.quality | length }}\n{% endfor %}"
        "{{ card.section('Parrots').quality['ndcg at 10'].value }} {{ card.overview.Parameters }}\n",
    )
    expected = "acme/tiny-embed\nParrots: 3\nSilence: 0\nToasters: 0\n0.4103 22.7M\n"
    assert render(card, template) == expected
    assert render(card, str(template)) == expected


def test_a_users_template_may_include_the_packaged_one(tmp_path: Path, page: str) -> None:
    template = _template(tmp_path, "{% include 'model_card.md.j2' %}\n_Ours._\n")
    assert render(parse(page), template) == page + "\n_Ours._\n"


def test_a_template_sees_the_card_alone(tmp_path: Path) -> None:
    template = _template(tmp_path, "{{ self._TemplateReference__context }}")
    with pytest.raises(CardError, match="SecurityError"):
        render(Card(title="t"), template)
    template = _template(tmp_path, "{{ config is defined }} {{ request is defined }} {{ card is defined }}")
    assert render(Card(title="t"), template) == "False False True"


def test_markup_in_facts_is_not_run(tmp_path: Path) -> None:
    card = Card(title="{{ 7 * 7 }} {% raw %} <b>")
    assert render(card) == "# {{ 7 * 7 }} {% raw %} <b>\n"
    assert render(card, _template(tmp_path, "{{ card.title }}")) == card.title


@pytest.mark.parametrize(
    "escape",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'].__mro__ }}",
        "{{ (''|attr('__class__')).__mro__ }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ ('{0.__class__.__mro__}'|attr('format'))('') }}",
        "{{ card.__class__.__init__.__globals__ }}",
        "{{ card.section.__func__.__globals__ }}",
        "{{ card.__struct_fields__[0] }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ lipsum.__globals__['os'] }}",
        "{% set x = card.sections.__class__ %}{{ x() }}",
        "{% for i in range(10 ** 9) %}{% endfor %}",
        "{% include '/etc/passwd' %}",
        "{% include '../model_card.md.j2' %}",
        "{% import 'os' as os %}",
    ],
)
def test_the_sandbox_holds(tmp_path: Path, escape: str) -> None:
    template = _template(tmp_path, f"first line\n{escape}\n")
    with pytest.raises(CardError) as caught:
        render(Card(title="t"), template)
    assert caught.value.source == str(template)
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a\n{{ card.nope }}\n", 2, "has no attribute 'nope'"),
        ("a\n\n{{ nope }}\n", 3, "'nope' is undefined"),
        ("{% for x in card.sections %}\n", 1, "Unexpected end of template"),
        ("a\n{{ card.title }\n", 2, "unexpected '}'"),
        ("a\n{{ card.title | nope }}\n", 2, "No filter named 'nope'"),
        ("a\n{% if card %}\n{{ 1 / 0 }}{% endif %}\n", 3, "ZeroDivisionError"),
        ("a\n{{ card.section('Cats') }}\n", 2, "no section 'Cats'; the card has: none"),
        ("{% macro m() %}\n{{ nope }}{% endmacro %}\n\n{{ m() }}\n", 2, "'nope' is undefined"),
    ],
)
def test_an_error_in_a_users_template_names_the_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    template = _template(tmp_path, text)
    with pytest.raises(CardError) as caught:
        render(Card(title="t"), template)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"template {template}, line {line}: ")
    assert message in str(caught.value)


def test_a_template_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"template .*absent\.j2: cannot be read: .*No such file"):
        render(Card(title="t"), tmp_path / "absent.j2")
    broken = tmp_path / "latin.j2"
    broken.write_bytes(b"caf\xe9")
    with pytest.raises(CardError, match="cannot be read"):
        render(Card(title="t"), broken)


def test_jinja_is_imported_only_to_render() -> None:
    code = "import sys, pytest_embedbench.reports.cards; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_all_parts_are_known_to_the_template() -> None:
    parts: tuple[Part, ...] = (Benchmarks(), Overview(), Benchmarks())
    assert render(Card(title="t", parts=parts)) == "# t\n\n## Benchmarks\n\n## Overview\n\n## Benchmarks\n"
