"""Make texts from outside (dataset descriptions, model names) safe for their place on a page.

Used to build a card from results, never to parse one: a parsed page keeps its bytes. Each function returns one line
that shows the same words in Markdown and cannot start a heading, a table row, a list item or a tag of its own.
"""

from __future__ import annotations

import json
import re
import unicodedata
from urllib.parse import quote, urlsplit

# Labels and marks that give a line a meaning of its own on a card.
_LEADING_LABEL = re.compile(r"(Domain|Task|Language|Corpus|Queries|Source|Base model):")
_MARK = re.compile(r"[#>\-+*_=~`|\[]|!\[")
_NUMBERED = re.compile(r"([0-9]{1,9})([.)])(?=\s|\Z)")
# A character is already escaped behind an odd number of backslashes.
_TAG = re.compile(r"(?<!\\)((?:\\\\)*)<(?=[A-Za-z/!?])")
_PIPE = re.compile(r"(?<!\\)((?:\\\\)*)\|")
_BRACKET = re.compile(r"(?<!\\)((?:\\\\)*)([\[\]])")
# Texts that YAML does not read as plain: empty, an indicator first, ": " or " #" inside, ":" last.
_NOT_PLAIN_YAML = re.compile(r"\A\Z|\A[-?:,\[\]{}#&*!|>'\"%@`]|: | #|:\Z")
# Characters that Markdown may read as marks: anywhere (an underscore only at a word's edge), and at a line's start.
_ANYWHERE = re.compile(r"[\\`*\[\]<>|&~$!{}]|(?<![^\W_])_|_(?![^\W_])")
_AT_START = re.compile(r"\A([-+#=:]|[0-9]{1,9}(?=[.)]))")
# Characters that change the direction of text, which could make a line show other words than it holds.
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def one_line(text: str, *, cell: bool = False) -> str:
    """Return ``text`` as a line of its own, or as the content of a table cell.

    Newlines, control characters and runs of spaces become one space; a leading Markdown mark, a leading label of the
    page (``Corpus:``) and HTML tags are escaped; with ``cell``, pipes too. Applying it twice changes nothing more. A
    blank text gives an empty one.
    """
    line = _TAG.sub(r"\1\\<", collapse(text))
    if cell:
        return _PIPE.sub(r"\1\\|", line)
    if _MARK.match(line):
        return "\\" + line
    line = _NUMBERED.sub(r"\1\\\2", line, count=1) if _NUMBERED.match(line) else line
    return _LEADING_LABEL.sub(r"\1\\:", line, count=1) if _LEADING_LABEL.match(line) else line


def literal(text: str) -> str:
    """Return ``text`` on one line with every mark escaped, so that Markdown shows it as it is, at any place."""
    line = _ANYWHERE.sub(r"\\\g<0>", collapse(text))
    start = _AT_START.match(line)
    if start is None:
        return line
    # Of "1." the dot is escaped: a backslash before a digit would be shown.
    end = start.end() if start[0].isdigit() else 0
    return f"{line[:end]}\\{line[end:]}"


def item(text: str) -> str:
    """Return ``text`` as a value between the page's middle dots (a facet, a name, a profile)."""
    return _TAG.sub(r"\1\\<", collapse(text)).replace("\N{MIDDLE DOT}", "&middot;")


def link_text(text: str) -> str:
    """Return ``text`` as the visible text of a link: on one line, its brackets escaped."""
    line = _BRACKET.sub(r"\1\\\2", _TAG.sub(r"\1\\<", collapse(text)))
    # A lone backslash at the end would escape the link's own bracket.
    return line + "\\" if (len(line) - len(line.rstrip("\\"))) % 2 else line


def link_url(url: str) -> str:
    """Return ``url`` as the target of a link: spaces, parentheses and the like percent-encoded.

    Raises:
        ValueError: the scheme is not http or https; a card must not carry ``javascript:`` links.
    """
    url = collapse(url)
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ValueError(f"expected an http or https address, found {url!r}")
    # The percent sign is safe, so that an address that is encoded already stays as it is.
    return quote(url, safe="%/:=&?~#+!$,;'@*-._[]")


def yaml_value(text: str) -> str:
    """Return ``text`` as a front matter value: as it is, or quoted if YAML would read something else."""
    line = collapse(text)
    return json.dumps(line, ensure_ascii=False) if _NOT_PLAIN_YAML.search(line) else line


def collapse(text: str) -> str:
    """Return ``text`` on one line, without control characters, and fit to be encoded as UTF-8."""
    return " ".join("".join(_plain(char) for char in text).split())


def _plain(char: str) -> str:
    category = unicodedata.category(char)
    if category in {"Cc", "Zl", "Zp"}:
        return " "
    if category == "Cs":  # a lone surrogate, which UTF-8 cannot hold
        return "\N{REPLACEMENT CHARACTER}"
    return "" if char in _BIDI else char
