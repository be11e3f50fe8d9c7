"""The pages in a real browser, opened as files: they render, sort, filter and link, and nothing hostile runs.

``EMBEDBENCH_BROWSER=required`` makes a missing browser an error instead of a skip; ``EMBEDBENCH_ARTIFACTS`` names a
folder for screenshots.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

import pytest

from pytest_embedbench.reports.leaderboard import build_leaderboard, write_leaderboard

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

    from tests.reports.leaderboard.conftest import Worlds

CHROMIUM = os.environ.get("EMBEDBENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
)
DASH = "\N{EN DASH}"
HOSTILE_TEXT = '</td></table><script>alert(2)</script><img src="http://example.org/x.png" onerror="alert(3)"> {{ 7*7 }}'


def _missing(what: str) -> None:
    if os.environ.get("EMBEDBENCH_BROWSER") == "required":
        pytest.fail(f"EMBEDBENCH_BROWSER=required, but {what}")
    pytest.skip(what)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        _missing("playwright is not installed; it comes with the extra dev")
    if not CHROMIUM:
        _missing("there is no chromium on the PATH; install it, or name it in EMBEDBENCH_CHROMIUM")
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        except Error as error:
            _missing(f"{CHROMIUM} does not start: {error}")
        yield started
        started.close()


@pytest.fixture(scope="module")
def site(make_world: Worlds, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write pages of a board whose names and texts are hostile, in a folder of their own."""
    world = make_world(7, 3, 4, names=HOSTILE, text=HOSTILE_TEXT)
    folder = tmp_path_factory.mktemp("site")
    write_leaderboard(build_leaderboard(world.results, world.ratings, world.judgments, texts=world.texts), folder)
    return folder


class Opened(NamedTuple):
    """A page and what went on in it: console messages, errors, dialogs; and the addresses it asked for."""

    page: Page
    events: list[str]
    requests: list[str]

    def go(self, path: Path) -> Page:
        self.page.goto(path.as_uri())
        return self.page

    def column(self, table: str, number: int) -> list[str]:
        """The texts of a column that are shown, from top to bottom."""
        cells = self.page.locator(f"#{table} tbody tr:visible > :nth-child({number})")
        return [text.strip() for text in cells.all_inner_texts()]


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    page = browser.new_page()
    events: list[str] = []
    requests: list[str] = []

    def note(dialog: Dialog) -> None:
        events.append(dialog.message)
        dialog.dismiss()

    page.on("console", lambda message: events.append(message.text))
    page.on("pageerror", lambda error: events.append(str(error)))
    page.on("dialog", note)
    page.on("request", lambda request: requests.append(request.url))
    yield Opened(page, events, requests)
    page.close()


def pages_of(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def comparison(site: Path) -> Path:
    """Return a page that compares two models whose names are harmless."""
    return min((site / "compare").glob("model-?--model-?.html"))


def test_every_page_opens_quietly_and_asks_for_nothing(opened: Opened, site: Path) -> None:
    pages = pages_of(site)
    assert len(pages) == 1 + 7 + 21
    for path in pages:
        page = opened.go(path)
        assert page.locator("h1").count() == 1
        assert page.locator("html").get_attribute("lang") == "en"
        levels = [
            int(tag[1]) for tag in page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(e => e.tagName)")
        ]
        assert levels[0] == 1
        assert all(next_level - level <= 1 for level, next_level in pairwise(levels))
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids))
        referred = page.evaluate(
            "[...document.querySelectorAll('[aria-labelledby]')].flatMap(e => e.getAttribute('aria-labelledby').split(' '))"
        )
        assert set(referred) <= set(ids)
    assert opened.events == []
    assert {urlsplit(url).scheme for url in opened.requests} <= {"file", "data"}


def test_every_link_leads_to_a_page(opened: Opened, site: Path) -> None:
    seen = set()
    for path in pages_of(site):
        page = opened.go(path)
        for link in page.evaluate("[...document.querySelectorAll('a')].map(a => a.href)"):
            parts = urlsplit(link)
            assert parts.scheme == "file", link
            target = Path(unquote(parts.path))
            assert target.is_file(), f"{path.name} leads to {link}"
            seen.add(target)
    assert seen == set(pages_of(site))  # each can be reached


def test_hostile_names_and_texts_are_words(opened: Opened, site: Path) -> None:
    for path in pages_of(site):
        page = opened.go(path)
        assert page.locator("script").count() == 1
        assert page.locator("img, iframe, object, embed, base, form").count() == 0
        attributes = page.evaluate(
            "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes].map(a => a.name + '=' + a.value))"
        )
        assert [one for one in attributes if one.startswith("on") or "=javascript:" in one.replace(" ", "")] == []
    page = opened.go(site / "index.html")
    names = opened.column("models", 2)
    assert all(any(name.startswith(hostile) for name in names) for hostile in HOSTILE)
    page.get_by_role("link", name="javascript:alert(1)", exact=True).first.click()
    assert page.locator("h1").inner_text() == "javascript:alert(1)"
    assert page.locator(".lead").inner_text() == HOSTILE_TEXT
    page.locator("#opponents tbody a").first.click()
    page.locator("summary").first.click()
    assert HOSTILE_TEXT[:40] in page.locator("details").first.inner_text()
    assert opened.events == []


def test_the_policy_blocks_what_is_put_in_later(opened: Opened, site: Path) -> None:
    page = opened.go(site / "index.html")
    failures: list[tuple[str, str | None]] = []
    page.on("requestfailed", lambda request: failures.append((request.url, request.failure)))
    page.evaluate(
        """() => { const script = document.createElement('script'); script.textContent = 'window.ran = true';
        document.body.append(script); const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; }"""
    )
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in event for event in opened.events)
    assert failures == [("http://127.0.0.1:9/x.png", "csp")]  # blocked before it leaves the browser


def numbers(column: list[str]) -> list[float]:
    return [float(text.strip("$%").removesuffix(" ms").replace(",", "")) for text in column if text != DASH]


def test_numbers_sort_both_ways_and_absent_ones_stay_last(opened: Opened, site: Path) -> None:
    page = opened.go(site / "index.html")
    head = page.locator("#models thead th").filter(has_text="Latency")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"  # less is better
    column = opened.column("models", 7)
    assert column[-1] == DASH
    assert numbers(column) == sorted(numbers(column))
    assert len(numbers(column)) == 6
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    column = opened.column("models", 7)
    assert column[-1] == DASH
    assert numbers(column) == sorted(numbers(column), reverse=True)
    elo = page.locator("#models thead th").filter(has_text="Elo")
    elo.get_by_role("button").click()
    assert elo.get_attribute("aria-sort") == "descending"
    assert page.locator("#models th[aria-sort]").count() == 1
    assert numbers(opened.column("models", 3)) == sorted(numbers(opened.column("models", 3)), reverse=True)


def test_numbers_sort_by_value_and_not_by_digits(opened: Opened, site: Path) -> None:
    page = opened.go(site / "index.html")
    button = page.locator("#models thead th").filter(has_text="Price").get_by_role("button")
    button.click()
    prices = opened.column("models", 8)
    assert prices[0] == "$0.000"  # free is a price, absent is none
    assert numbers(prices) == sorted(numbers(prices))
    assert prices[-1] == DASH


def test_words_sort_by_keyboard_and_absent_ones_stay_last(opened: Opened, site: Path) -> None:
    page = opened.go(site / "index.html")
    head = page.locator("#models thead th").filter(has_text="License")
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert opened.column("models", 9) == ["apache-2.0"] * 3 + [DASH] * 4
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    assert opened.column("models", 9) == ["apache-2.0"] * 3 + [DASH] * 4
    assert page.evaluate("document.activeElement.closest('th').textContent") == "License"
    page.locator("#matrix thead th button").first.click()
    names = opened.column("matrix", 1)
    page.locator("#matrix thead th button").first.click()
    assert opened.column("matrix", 1) == names[::-1]


def test_the_filter_shows_lines_with_all_its_words(opened: Opened, site: Path) -> None:
    page = opened.go(comparison(site))
    everything = len(opened.column("rows", 1))
    box = page.get_by_label("Filter queries")
    box.fill("collection-1 Q2")
    rows = page.locator("#rows tbody tr:visible").all_inner_texts()
    assert rows
    assert all("collection-1" in row and "q2" in row for row in rows)
    assert page.locator("#rows-status").inner_text() == f"{len(rows)} of {everything} shown"
    box.fill("no such query")
    assert opened.column("rows", 1) == []
    box.fill("")
    assert len(opened.column("rows", 1)) == everything
    assert page.locator("#rows-status").inner_text() == ""


def test_every_control_is_reached_by_tab_and_shows_its_focus(opened: Opened, site: Path) -> None:
    for path in (site / "index.html", site / "models" / "model-6.html", comparison(site)):
        page = opened.go(path)
        controls = page.evaluate(
            """() => { const found = [...document.querySelectorAll(
                'a[href], button, input, summary, [tabindex="0"]')].filter(e => e.checkVisibility());
                found.forEach((e, i) => e.dataset.control = i); return found.length; }"""
        )
        reached = []
        for _ in range(controls):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.dataset.control"))
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", page.evaluate("document.activeElement.outerHTML")
        assert reached == [str(number) for number in range(controls)]
        page.goto(path.as_uri())
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"


def test_without_scripts_tables_are_plain_and_whole(browser: Browser, site: Path) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto((site / "index.html").as_uri())
        assert page.locator("#models tbody tr:visible").count() == 7
        assert page.locator("button:visible, input:visible").count() == 0
        assert page.locator("#models thead th").first.inner_text() == "Rank"


CONTRAST = """() => {
  const light = ([r, g, b]) => { const f = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const parse = text => text.match(/[0-9.]+/g).map(Number);
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const bad = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || ['SCRIPT', 'STYLE', 'title', 'desc'].includes(e.tagName) || !e.checkVisibility()) continue;
    const style = getComputedStyle(e);
    const ink = e.closest('svg') ? style.fill : style.color;
    const [a, b] = [light(parse(ink)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.push(`${e.tagName} ${e.className} ${ink} ${ratio.toFixed(2)} ${e.textContent.slice(0, 30)}`);
  }
  return bad;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_pages_are_readable_in_both_schemes_and_at_any_width(
    browser: Browser, make_world: Worlds, tmp_path: Path, scheme: Any, width: int
) -> None:
    world = make_world(8, 4, 6)
    board = build_leaderboard(world.results, world.ratings, world.judgments, texts=world.texts)
    write_leaderboard(board, tmp_path / "site")
    shots = Path(os.environ.get("EMBEDBENCH_ARTIFACTS") or tmp_path)
    with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}) as context:
        page = context.new_page()
        backgrounds = set()
        for path in ("index", "models/model-7", f"compare/{board.pairs[0].page}"):
            page.goto((tmp_path / "site" / f"{path}.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width  # wide tables scroll in their own box
            assert page.evaluate(CONTRAST) == []
            backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            shot = shots / f"leaderboard-{path.partition('/')[0]}-{scheme}-{width}.png"
            page.screenshot(path=shot, full_page=True)
            assert shot.stat().st_size > 10_000
        (background,) = backgrounds
        assert (min(map(int, background[4:-1].split(","))) > 200) == (scheme == "light")


def test_charts_have_names_and_words(opened: Opened, site: Path) -> None:
    page = opened.go(site / "index.html")
    elo, front = (
        page.get_by_role("img", name="Elo of every model"),
        page.get_by_role("img", name="Quality against latency"),
    )
    assert elo.count() == front.count() == 1
    described = front.locator("desc").text_content() or ""
    assert "On the Pareto front, fastest first: " in described
    box = elo.bounding_box()
    assert box
    assert box["width"] > 300
    drawn = [text.strip() for text in elo.locator("text").all_text_contents()]
    assert "model-6" in drawn
    assert HOSTILE[0] in drawn  # text stays text
