"""A key in every form in which a server may return it."""

from __future__ import annotations

import html
import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus, unquote

KEY = "sk-a+b/c=d&e_01234567~Z"
BASIC = f"user:{KEY}"

FORMS = {
    "as it stands": KEY,
    "json": json.dumps(KEY),
    "json of go": KEY.replace("&", r"\u0026").replace("+", r"\u002B").replace("=", r"\u003d"),
    "json in json": json.dumps(json.dumps({"key": KEY.replace("+", r"\u002B")})),
    "slashes": KEY.replace("/", r"\/"),
    "repr": KEY.replace("+", r"\x2b"),
    "html": html.escape(KEY),
    "html, named": KEY.replace("+", "&plus;").replace("/", "&sol;"),
    "html, decimal": "".join(f"&#{ord(character):03};" for character in KEY),
    "html, hex": "".join(f"&#X{ord(character):04X};" for character in KEY),
    "html twice": html.escape(html.escape(KEY)),
    "html in json": html.escape(KEY).replace("&", r"\u0026"),
    "percent": quote(KEY, safe=""),
    "percent, lower case": "".join(f"%{ord(character):02x}" for character in KEY),
    "percent twice": quote(quote(KEY, safe=""), safe=""),
    "form": quote_plus(KEY),
    "form, decoded once too often": KEY.replace("+", " "),
    "host name": KEY.lower(),
    "base64": b64encode(KEY.encode()).decode(),
    "base64 of the header": b64encode(f"Bearer {KEY}".encode()).decode(),
    "base64 of the header without padding": b64encode(f"Bearer {KEY}".encode()).decode().rstrip("="),
    "base64 for addresses": urlsafe_b64encode(f"Bearer {KEY}".encode()).decode(),
    "base64 in an address": quote(b64encode(f"Bearer {KEY}".encode()).decode(), safe=""),
    "base64 in json": json.dumps(b64encode(f"{KEY}:".encode()).decode()).replace("/", r"\/").replace("=", r"\u003d"),
    "basic": b64encode(BASIC.encode()).decode(),
    "basic, without a user": b64encode(f":{KEY}".encode()).decode(),
    "basic, without a password": b64encode(f"{KEY}:".encode()).decode(),
    "utf-16": KEY.encode("utf-16-le").decode(),
}


def shows(text: str) -> bool:
    """Whether a reader who decodes the text finds the key, or ten characters of it."""
    found = [text]
    for decode in (html.unescape, unquote, lambda shown: shown.replace("\\", "").replace("\0", "")):
        found += [decode(shown) for shown in found]
    parts = [KEY[start : start + 10] for start in range(len(KEY) - 9)]
    return any(part.lower() in shown.lower() for part in parts for shown in found)
