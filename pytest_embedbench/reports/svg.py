"""Make matplotlib's SVG fit for a page or for a file: with a title, unique ids, no metadata and no inline styles.

A page's Content-Security-Policy blocks ``style`` attributes, so styles become presentation attributes, and colours
with a meaning become classes. A page has a style sheet for the classes; a file brings its own.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from pytest_embedbench.reports.text import collapse

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
# Nearly black, so that no colour of matplotlib's own is taken for one of them.
COLOURS = {"#000001": "ink", "#000002": "muted", "#000003": "grid", "#000004": "accent", "#000005": "paper"}
"""Colour that a chart is drawn in -> word of the style sheet: ``fill: #000004`` becomes ``class="fill-accent"``."""
INK, MUTED, GRID, ACCENT, PAPER = COLOURS

PALETTE = {
    "light": {"ink": "#1c2128", "muted": "#57606a", "grid": "#d5dbe1", "accent": "#0b57b0", "paper": "#ffffff"},
    "dark": {"ink": "#e4e9ee", "muted": "#9ca7b3", "grid": "#2e3742", "accent": "#79b8ff", "paper": "#10151b"},
}
"""Colours of the words in a file; the same as in ``templates/leaderboard/style.css``."""

_ALLOWED = frozenset(
    {"fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap"}
    | {"stroke-linejoin", "opacity", "font-size", "font-weight", "text-anchor"}
)
"""Style properties that become attributes; all others are dropped."""
_CSS_URL = re.compile(r"url\(#([^)]+)\)")


def for_page(svg: str, *, name: str, title: str, description: str) -> str:
    """Return the picture as an element for HTML.

    Args:
        svg: matplotlib's SVG, drawn in ``COLOURS``.
        name: prefix of its ids, used only once in a page.
        title: the picture's name for a screen reader.
        description: the picture's content in words.
    """
    return _serialized(_described(svg, name=name, title=title, description=description))


def for_file(svg: str, *, name: str, title: str, description: str) -> str:
    """Return the picture as a file with a background, light or dark as the reader's system is.

    The arguments are those of ``for_page``.
    """
    root = _described(svg, name=name, title=title, description=description)
    style = ET.Element(f"{{{SVG}}}style")
    style.text = "text{font-family:system-ui,sans-serif}" + _rules("light")
    style.text += f"@media(prefers-color-scheme:dark){{{_rules('dark')}}}"
    _, _, width, height = root.get("viewBox", "").split()
    root.attrib |= {"width": width, "height": height}
    # Behind title and description; the background comes before everything that is drawn on it.
    root.insert(2, style)
    root.insert(3, ET.Element(f"{{{SVG}}}rect", {"width": "100%", "height": "100%", "class": "fill-paper"}))
    return f"{_serialized(root)}\n"


def _rules(scheme: str) -> str:
    return "".join(
        f".{key}-{word}{{{key}:{colour}}}" for word, colour in PALETTE[scheme].items() for key in ("fill", "stroke")
    )


def _serialized(root: ET.Element) -> str:
    # ElementTree would write every name with a prefix of its own (ns0:svg), which HTML does not understand.
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    return re.sub(r"\s*\n\s*", "\n", ET.tostring(root, encoding="unicode"))


def _described(svg: str, *, name: str, title: str, description: str) -> ET.Element:
    root = ET.fromstring(svg)  # noqa: S314 - matplotlib wrote it a moment ago
    for parent in root.iter():
        for child in list(parent):
            if child.tag in {f"{{{SVG}}}metadata", f"{{{SVG}}}style"}:
                parent.remove(child)
    # Numbered anew, so that the ids of two pictures on one page differ.
    ids = {old: f"{name}-{number}" for number, old in enumerate(_used_ids(root))}
    for element in root.iter():
        _restyle(element, ids)
    # Without a size the picture takes the width of its page; the view box keeps its proportions.
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-desc", "stroke-linejoin": "round"}
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(f"{{{SVG}}}{tag}", id=f"{name}-{tag}")
        element.text = collapse(text)
        root.insert(position, element)
    return root


def _used_ids(root: ET.Element) -> list[str]:
    """Return the ids that something in the picture refers to, in order; the others only name parts for an editor."""
    referred = {value.lstrip("#") for element in root.iter() if (value := element.get(f"{{{XLINK}}}href"))}
    values = (value for element in root.iter() for value in element.attrib.values())
    referred |= {target for value in values for target in _CSS_URL.findall(value)}
    return [own for element in root.iter() if (own := element.get("id")) in referred]


def _restyle(element: ET.Element, ids: dict[str, str]) -> None:
    attributes = element.attrib
    if (own := attributes.pop("id", None)) in ids:
        attributes["id"] = ids[own]
    if href := attributes.get(f"{{{XLINK}}}href"):
        attributes[f"{{{XLINK}}}href"] = f"#{ids[href.lstrip('#')]}"
    if clip := attributes.get("clip-path"):
        attributes["clip-path"] = _CSS_URL.sub(lambda match: f"url(#{ids[match[1]]})", clip)
    classes = []
    for declaration in attributes.pop("style", "").split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key == "font":  # "10px 'DejaVu Sans'": the page has its own family
            attributes["font-size"] = value.split("px")[0].split()[-1]
        elif value in COLOURS:
            classes.append(f"{key}-{COLOURS[value]}")
        elif key in _ALLOWED:
            attributes[key] = value
    if classes:
        attributes["class"] = " ".join(classes)
