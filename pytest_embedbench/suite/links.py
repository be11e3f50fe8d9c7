"""Check the addresses in definitions, which cards and pages show as links."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from pytest_embedbench.core.parsing import shortened
from pytest_embedbench.errors import ConfigurationError


def check_links(addresses: Mapping[str, str], where: str) -> None:
    """Check that addresses are of the web; a page must not carry ``javascript:`` links.

    Args:
        addresses: key of the definition -> address; empty where none is given.
        where: file and key of the definition.

    Raises:
        ConfigurationError: an address does not begin with http:// or https://.
    """
    for key, address in addresses.items():
        if address and not _is_of_the_web(address):
            problem = f"{shortened(address)!r} is not an address that begins with https:// or http://"
            raise ConfigurationError(f"{where}.{key}", problem, f'write {key} = "https://...", or leave it out')


def _is_of_the_web(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:  # malformed brackets
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)
