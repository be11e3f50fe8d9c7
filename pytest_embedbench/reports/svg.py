"""matplotlib's SVG made fit for a page, or for a file of its own: a title, ids of its own, nothing else inside.

A page's Content-Security-Policy blocks ``style`` attributes, so styles become presentation attributes, and the
colours that mean something become classes, for which a page has a style sheet; a file brings its own.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from pytest_embedbench.reports.text import collapse

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
COLOURS = {"#000001": "ink", "#000002": "muted", "#000003": "grid", "#000004": "accent", "#000005": "paper"}
"""What a chart draws in -> the word of the style sheet: ``fill: #000004`` becomes ``class="fill-accent"``."""
INK, MUTED, GRID, ACCENT, PAPER = COLOURS

PALETTE = {
    "light": {"ink": "#1c2128", "muted": "#57606a", "grid": "#d5dbe1", "accent": "#0b57b0", "paper": "#ffffff"},
    "dark": {"ink": "#e4e9ee", "muted": "#9ca7b3", "grid": "#2e3742", "accent": "#79b8ff", "paper": "#10151b"},
}
"""The words' colours in a file, those of ``templates/leaderboard/style.css``."""

_KEPT = frozenset(
    {"fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap"}
    | {"stroke-linejoin", "opacity", "font-size", "font-weight", "text-anchor"}
)
_URL = re.compile(r"url\(#([^)]+)\)")


def for_page(svg: str, *, name: str, title: str, description: str) -> str:
    """The picture as an element for HTML.

    Args:
        svg: what matplotlib wrote, drawn in ``COLOURS``.
        name: prefix of its ids, once in a page.
        title: what the picture is, for a screen reader.
        description: what it shows, in words.
    """
    return _text(_described(svg, name=name, title=title, description=description))


def for_file(svg: str, *, name: str, title: str, description: str) -> str:
    """The picture as a file, on a ground of its own, light or dark as the reader's system is; as ``for_page``."""
    root = _described(svg, name=name, title=title, description=description)
    style = ET.Element(f"{{{SVG}}}style")
    style.text = "text{font-family:system-ui,sans-serif}" + _rules("light")
    style.text += f"@media(prefers-color-scheme:dark){{{_rules('dark')}}}"
    _, _, width, height = root.get("viewBox", "").split()
    root.attrib |= {"width": width, "height": height}
    root.insert(2, style)
    root.insert(3, ET.Element(f"{{{SVG}}}rect", {"width": "100%", "height": "100%", "class": "fill-paper"}))
    return f"{_text(root)}\n"


def _rules(scheme: str) -> str:
    return "".join(
        f".{key}-{word}{{{key}:{colour}}}" for word, colour in PALETTE[scheme].items() for key in ("fill", "stroke")
    )


def _text(root: ET.Element) -> str:
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    return re.sub(r"\s*\n\s*", "\n", ET.tostring(root, encoding="unicode"))


def _described(svg: str, *, name: str, title: str, description: str) -> ET.Element:
    root = ET.fromstring(svg)  # noqa: S314 - matplotlib wrote it a moment ago
    for parent in root.iter():
        for child in list(parent):
            if child.tag in {f"{{{SVG}}}metadata", f"{{{SVG}}}style"}:
                parent.remove(child)
    ids = {one: f"{name}-{number}" for number, one in enumerate(_used(root))}
    for element in root.iter():
        _restyle(element, ids)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-desc", "stroke-linejoin": "round"}
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(f"{{{SVG}}}{tag}", id=f"{name}-{tag}")
        element.text = collapse(text)
        root.insert(place, element)
    return root


def _used(root: ET.Element) -> list[str]:
    """Ids that something in the picture refers to, in their order; the others only name parts for an editor."""
    referred = {value.lstrip("#") for element in root.iter() if (value := element.get(f"{{{XLINK}}}href"))}
    referred |= {found for element in root.iter() for value in element.attrib.values() for found in _URL.findall(value)}
    return [one for element in root.iter() if (one := element.get("id")) in referred]


def _restyle(element: ET.Element, ids: dict[str, str]) -> None:
    attributes = element.attrib
    if (own := attributes.pop("id", None)) in ids:
        attributes["id"] = ids[own]
    if href := attributes.get(f"{{{XLINK}}}href"):
        attributes[f"{{{XLINK}}}href"] = f"#{ids[href.lstrip('#')]}"
    if clip := attributes.get("clip-path"):
        attributes["clip-path"] = _URL.sub(lambda match: f"url(#{ids[match[1]]})", clip)
    classes = []
    for declaration in attributes.pop("style", "").split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key == "font":  # "10px 'DejaVu Sans'": the page has its own family
            attributes["font-size"] = value.split("px")[0].split()[-1]
        elif value in COLOURS:
            classes.append(f"{key}-{COLOURS[value]}")
        elif key in _KEPT:
            attributes[key] = value
    if classes:
        attributes["class"] = " ".join(classes)
