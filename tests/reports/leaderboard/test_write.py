"""Pages as files: their names, their bytes, and what users may change."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.rating.judgments import Judgment
from pytest_embedbench.rating.rate import rate
from pytest_embedbench.rating.ratings import Ratings
from pytest_embedbench.reports import drawing
from pytest_embedbench.reports.cards import CardError
from pytest_embedbench.reports.leaderboard import build_leaderboard, rendering, write, write_leaderboard
from pytest_embedbench.reports.leaderboard.facts import Leaderboard
from pytest_embedbench.reports.leaderboard.write import Page, board_pages
from pytest_embedbench.reports.templates import templates_folder

if TYPE_CHECKING:
    from tests.reports.leaderboard.conftest import MakeResult, Worlds

GOLDEN = """\
# Leaderboard

2 models on 1 dataset, rated from 0 judgments of 0 distinct queries.

## Overall

A rank is a range: the places that a model's 95% interval leaves possible. The judgments do not tell apart models whose ranges overlap.
nDCG@10 is the mean over the 1 dataset that all 1 measured model share (d).
Latency is the p50 of a query, b1 c4 on NVIDIA L4, mean over d.

| Rank | Model | Elo | Interval | Win rate | nDCG@10 | Latency p50 | Price per 1M tokens | License |
|---:|---|---:|---:|---:|---:|---:|---:|---|
| 1 | [b](models/b.md) | 1600 | 1590 to 1610 | 71.4% | \N{EN DASH} | \N{EN DASH} | \N{EN DASH} | \N{EN DASH} |
| 2 | [a](models/a.md) | 1400 | 1390 to 1410 | 57.1% | 0.500 | 3.0 ms | \\$0.020 | mit |

On the Pareto front (no model is both better and faster): a.

## nDCG@10 by dataset

| Model | d |
|---|---:|
| [b](models/b.md) | \N{EN DASH} |
| [a](models/a.md) | 0.500 |

## Datasets
"""


@pytest.fixture
def small(make_result: MakeResult, rated: Callable[..., Ratings]) -> Leaderboard:
    """Return two models, one of them without any result."""
    result = make_result("a", "d", {"q": 0.5}, p50=3.0, licence="mit", price_per_million_tokens=0.02)
    return build_leaderboard([result], rated(a=1400.0, b=1600.0), [])


def test_every_page_is_written_as_html_and_markdown(small: Leaderboard, tmp_path: Path) -> None:
    written = write_leaderboard(small, tmp_path / "out")
    names = {"index", "models/a", "models/b", "compare/b--a"}
    assert {path.relative_to(tmp_path / "out").as_posix() for path in written} == {
        f"{name}.{kind}" for name in names for kind in ("html", "md")
    }
    assert all(path.stat().st_size > 200 for path in written)


def test_the_overall_page_as_markdown(small: Leaderboard, tmp_path: Path) -> None:
    write_leaderboard(small, tmp_path)
    assert (tmp_path / "index.md").read_text(encoding="utf-8").startswith(GOLDEN)


def test_a_models_page_has_every_section_of_the_published_one(make_world: Worlds, tmp_path: Path) -> None:
    world = make_world(3, 2, 4)
    write_leaderboard(build_leaderboard(world.results, world.ratings, world.judgments), tmp_path)
    for kind in ("html", "md"):
        page = (tmp_path / f"models/model-2.{kind}").read_text(encoding="utf-8")
        for words in (
            *("Leaderboard rank", "Elo rating", "Win rate", "Accuracy (nDCG@10", "Latency (query p50", " of 3"),
            *("Model information", "Provider", "License", "Price per 1M tokens", "Release date", "Model name"),
            *("Total evaluations", "Performance record", "Wins", "Losses", "Ties", "Dataset breakdown"),
            *("nDCG@5", "nDCG@10", "Recall@5", "Recall@10", "Mean", "P50", "P90", "Compare models"),
            *("collection-0", "collection-1", "b1 c4 on NVIDIA L4"),
        ):
            assert words in page, (kind, words)
    page = (tmp_path / "models/model-2.html").read_text(encoding="utf-8")
    assert "Elo by dataset</h2>" in page
    assert '<svg xmlns="http://www.w3.org/2000/svg"' in page


def test_absent_values_are_dashes_and_never_zeros(small: Leaderboard, tmp_path: Path) -> None:
    write_leaderboard(small, tmp_path)
    page = (tmp_path / "models/b.html").read_text(encoding="utf-8")
    absent = '<span class="absent" role="img" aria-label="not available" title="not available">\N{EN DASH}</span>'
    for label in ("Provider", "License", "Price per 1M tokens", "Release date"):
        assert f"<dt>{label}</dt><dd>{absent}</dd>" in page
    assert f'<dt>Accuracy (nDCG@10)</dt><dd class="big">{absent}</dd></div>' in page
    assert "0.000" not in page
    assert "These two models were not judged against each other" in (tmp_path / "compare/b--a.html").read_text(
        encoding="utf-8"
    )


def test_results_without_ratings_say_so(make_result: MakeResult, tmp_path: Path) -> None:
    write_leaderboard(build_leaderboard([make_result("a", "d", {"q": 0.5})], None, []), tmp_path)
    assert "No ratings were given" in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "No judgment of this model counts." in (tmp_path / "models/a.html").read_text(encoding="utf-8")


def test_ratings_without_intervals_say_so(tmp_path: Path) -> None:
    judgments = [Judgment(dataset="d", query_id=q, model_a="a", model_b="b", outcome="a") for q in ("q1", "q2")]
    write_leaderboard(build_leaderboard([], rate(judgments, method="elo"), judgments), tmp_path)
    for kind in ("html", "md"):
        page = (tmp_path / f"index.{kind}").read_text(encoding="utf-8")
        assert "These ratings have no intervals" in page
        assert "bootstrap" not in page.partition("Notes")[0]
    assert "<svg" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_a_board_of_nothing_is_written_too(tmp_path: Path) -> None:
    assert [path.name for path in write_leaderboard(Leaderboard(), tmp_path)] == ["index.html", "index.md"]


def test_two_writes_give_the_same_bytes(make_world: Worlds, tmp_path: Path) -> None:
    world = make_world(4, 3, 3)
    board = build_leaderboard(world.results, world.ratings, world.judgments, texts=world.texts)
    pages = [
        {path.relative_to(folder): path.read_bytes() for path in write_leaderboard(board, folder)}
        for folder in (tmp_path / "one", tmp_path / "two")
    ]
    assert pages[0] == pages[1]


def test_names_that_map_to_one_file_name_get_files_of_their_own(tmp_path: Path) -> None:
    names = ["org/m", "org__m", "ORG/M", "a b", "a_b", "x--y", "x", "y", "y--x", "long" * 90, "long" * 91, "…" * 99]
    judgments = [
        Judgment(dataset="d", query_id="q", model_a=a, model_b=b, outcome="tie") for a in names for b in names if a < b
    ]
    board = build_leaderboard([], None, judgments)
    assert len({model.page.casefold() for model in board.models}) == len(names)
    assert len({pair.page.casefold() for pair in board.pairs}) == len(names) * (len(names) - 1) / 2
    written = write_leaderboard(board, tmp_path)
    assert len(written) == len(set(written)) == 2 * (1 + len(names) + len(board.pairs))
    for model in board.models:
        assert (tmp_path / "models" / f"{model.page}.html").is_file()


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    board = build_leaderboard(
        [], None, [Judgment(dataset="d", query_id="q", model_a="../../up", model_b="..", outcome="a")]
    )
    written = write_leaderboard(board, tmp_path / "out")
    assert all((tmp_path / "out") in path.resolve().parents for path in written)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(small: Leaderboard, tmp_path: Path) -> None:
    for path in write_leaderboard(small, tmp_path):
        if path.suffix != ".html":
            continue
        page = path.read_text(encoding="utf-8")
        found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
        assert found
        policy = found[1].replace("&#39;", "'")
        assert policy.startswith("default-src 'none'; ")
        for tag in ("style", "script"):
            (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
        assert not re.search(r"<[^>]+\s(style|on\w+)=", page)
        assert not re.search(r'(src|href)="(https?:|//)', page)


def test_without_matplotlib_pages_say_which_extra_is_missing(
    small: Leaderboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "find_spec", lambda name: None)
    write_leaderboard(small, tmp_path)
    for name in ("index", "models/a"):
        page = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
        assert "<code>pip install &#39;pytest-embedbench[plots]&#39;</code>" in page
        assert "<figure>" not in page


def test_a_users_template_stands_for_ours(small: Leaderboard, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "model.md.j2").write_text("{{ model.name }} of {{ board.models | length }} <&>|{{ '<b>|' ~ model.name }}\n")
    (own / "index.html.j2").write_text(
        '{% extends "packaged/index.html.j2" %}{% block overall %}<p>ours: {{ "<i>" }}</p>{% endblock %}'
    )
    (own / "style.css").write_text("body { color: red }")
    write_leaderboard(small, tmp_path / "out", template_folder=own)
    assert (tmp_path / "out/models/a.md").read_text(encoding="utf-8") == "a of 2 <&>|\\<b\\>\\|a\n"
    index = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert "<p>ours: &lt;i&gt;</p>" in index
    assert "How it was made" in index
    assert "<style>body { color: red }</style>" in index


def test_a_new_page_is_its_template_and_one_line(
    small: Leaderboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaderboard").mkdir()
    for file in (templates_folder() / "leaderboard").iterdir():
        (tmp_path / "leaderboard" / file.name).write_bytes(file.read_bytes())
    template = "{% extends 'layout.html.j2' %}{% block main %}{{ board.datasets[0].name }} {{ limit }}{% endblock %}"
    (tmp_path / "leaderboard" / "datasets.html.j2").write_text(template, "utf-8")
    monkeypatch.setattr(rendering, "templates_folder", lambda: tmp_path)

    def with_datasets(board: Leaderboard) -> Iterator[Page]:
        yield from board_pages(board)
        yield Page("datasets", "datasets", {"limit": 3})

    monkeypatch.setattr(write, "board_pages", with_datasets)
    written = write_leaderboard(small, tmp_path / "board")
    assert written[-1] == tmp_path / "board" / "datasets.html", "without a template for Markdown there is only HTML"
    assert ">\nd 3</main>" in written[-1].read_text("utf-8")
    assert (tmp_path / "board" / "index.md") in written


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("ok\n{{ board.nothing }}", r"model\.md\.j2, line 2: UndefinedError: .*nothing"),
        ("{{ board.__class__.__mro__ }}", r"model\.md\.j2, line 1: SecurityError"),
        ("{% if %}", r"model\.md\.j2, line 1: TemplateSyntaxError"),
        ('{% include "/etc/hostname" %}', r"model\.md\.j2, line 1: TemplateNotFound"),
        ('{% include "../secret" %}', r"model\.md\.j2, line 1: TemplateNotFound"),
    ],
)
def test_faults_of_a_users_template_name_it_and_the_line(
    small: Leaderboard, tmp_path: Path, template: str, message: str
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (tmp_path / "secret").write_text("secret")
    (own / "model.md.j2").write_text(template)
    with pytest.raises(CardError, match=message):
        write_leaderboard(small, tmp_path / "out", template_folder=own)


def test_a_folder_that_changes_nothing_is_an_error(small: Leaderboard, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a folder of templates"):
        write_leaderboard(small, tmp_path / "out", template_folder=tmp_path / "gone")
    own = tmp_path / "own"
    own.mkdir()
    (own / "modl.md.j2").write_text("x")
    with pytest.raises(ConfigurationError, match=r"did you mean 'model\.md\.j2'"):
        write_leaderboard(small, tmp_path / "out", template_folder=own)


def test_a_large_board_is_written_in_time(make_world: Worlds, tmp_path: Path) -> None:
    """190 comparisons of 400 queries; the limit is the processor's time, since other work may share the machine."""
    import time

    world = make_world(20, 8, 50)
    started = time.process_time()
    board = build_leaderboard(world.results, world.ratings, world.judgments, texts=world.texts)
    assert len(write_leaderboard(board, tmp_path)) == 2 * (1 + 20 + 190)
    assert time.process_time() - started < 40
