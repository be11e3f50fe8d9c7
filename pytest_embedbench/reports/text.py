"""Make texts from outside (dataset descriptions, model names) fit for their place on a page.

For building a card from results; never for parsing one: a parsed page keeps its bytes. What comes out is one
line that shows the same words in Markdown and cannot start a heading, a row, an item or a tag of its own.
"""

from __future__ import annotations

import json
import re
import unicodedata
from urllib.parse import quote, urlsplit

# Labels and marks that open a line with a meaning of its own on a card.
_LABEL = re.compile(r"(Domain|Task|Language|Corpus|Queries|Source|Base model):")
_MARK = re.compile(r"[#>\-+*_=~`|\[]|!\[")
_NUMBERED = re.compile(r"([0-9]{1,9})([.)])(?=\s|\Z)")
# A character is already escaped behind an odd number of backslashes.
_TAG = re.compile(r"(?<!\\)((?:\\\\)*)<(?=[A-Za-z/!?])")
_PIPE = re.compile(r"(?<!\\)((?:\\\\)*)\|")
_BRACKET = re.compile(r"(?<!\\)((?:\\\\)*)([\[\]])")
# What YAML does not read as a plain text: an indicator first, ": " or " #" inside, ":" last.
_NOT_PLAIN_YAML = re.compile(r"\A\Z|\A[-?:,\[\]{}#&*!|>'\"%@`]|: | #|:\Z")
# What Markdown may read as a mark: anywhere, within words too, and at the start of a line.
_ANYWHERE = re.compile(r"[\\`*\[\]<>|&~$!{}]|(?<![^\W_])_|_(?![^\W_])")
_AT_START = re.compile(r"\A([-+#=:]|[0-9]{1,9}(?=[.)]))")
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def one_line(text: str, *, cell: bool = False) -> str:
    """Return `text` as a line of its own, or as the content of a table cell.

    Newlines, control characters and runs of space become one space; a leading Markdown mark, a leading label
    of the page ("Corpus:") and HTML tags are escaped; with `cell`, pipes too. Applying it twice changes
    nothing more. A blank text gives "".
    """
    line = _TAG.sub(r"\1\\<", collapse(text))
    if cell:
        return _PIPE.sub(r"\1\\|", line)
    if _MARK.match(line):
        return "\\" + line
    line = _NUMBERED.sub(r"\1\\\2", line, count=1) if _NUMBERED.match(line) else line
    return _LABEL.sub(r"\1\\:", line, count=1) if _LABEL.match(line) else line


def literal(text: str) -> str:
    """Return `text` as words that Markdown shows as they are, at any place: every mark is escaped, on one line."""
    line = _ANYWHERE.sub(r"\\\g<0>", collapse(text))
    start = _AT_START.match(line)
    if start is None:
        return line
    end = start.end() if start[0].isdigit() else 0
    return f"{line[:end]}\\{line[end:]}"


def item(text: str) -> str:
    """Return `text` as a value between the page's middle dots (a facet, a name, a profile)."""
    return _TAG.sub(r"\1\\<", collapse(text)).replace("\N{MIDDLE DOT}", "&middot;")


def link_text(text: str) -> str:
    """Return `text` as what a link shows: on one line, its brackets escaped."""
    line = _BRACKET.sub(r"\1\\\2", _TAG.sub(r"\1\\<", collapse(text)))
    # A lone backslash at the end would escape the link's own bracket.
    return line + "\\" if (len(line) - len(line.rstrip("\\"))) % 2 else line


def link_url(url: str) -> str:
    """Return `url` as the target of a link: spaces, parentheses and the like percent-encoded.

    Raises:
        ValueError: if it is no http(s) address; a card must not carry `javascript:` links.
    """
    url = collapse(url)
    if urlsplit(url).scheme not in {"http", "https"}:
        message = f"expected an http or https address, found {url!r}"
        raise ValueError(message)
    return quote(url, safe="%/:=&?~#+!$,;'@*-._[]")


def yaml_value(text: str) -> str:
    """Return `text` as a front matter value: as it is, or quoted where YAML would read something else."""
    line = collapse(text)
    return json.dumps(line, ensure_ascii=False) if _NOT_PLAIN_YAML.search(line) else line


def collapse(text: str) -> str:
    """Return `text` on one line, without control characters, as something that UTF-8 can encode."""
    return " ".join("".join(_plain(char) for char in text).split())


def _plain(char: str) -> str:
    category = unicodedata.category(char)
    if category in {"Cc", "Zl", "Zp"}:
        return " "
    if category == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    return "" if char in _BIDI else char
