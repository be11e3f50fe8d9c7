"""Where an endpoint is and how it may be used; the key itself stays in its environment variable."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import msgspec

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.remote.secret import Secret


class EndpointSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint and the limits on its use. Times in seconds.

    Raises:
        ConfigurationError: the address is not a plain http(s) address, or a limit makes no sense.
    """

    url: str
    """The base, as ``https://api.openai.com/v1``; paths like ``/chat/completions`` are added to it."""
    api_key_env: str = ""
    """Name of the environment variable with the key; no key is sent where it is empty or the variable is not set."""
    timeout: float = 120.0
    """For one request as a whole, from connecting to the answer's last byte."""
    concurrency: int = 8
    """Requests under way at once."""
    attempts: int = 6
    """How often one request is sent at most."""
    retries: int = 100
    """How many retries all requests together may take."""
    backoff: float = 0.5
    """A retry waits a random time below this, doubled with each further one."""
    longest_wait: float = 120.0
    """A server that asks (``Retry-After``) to wait longer is given up."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        # The address is not shown where it may hold a secret.
        if "@" in parts.netloc or parts.query or parts.fragment:
            fix = "give the base address alone, and the key through an environment variable"
            raise ConfigurationError("endpoint", "the address holds more than scheme, host and path", fix)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            fix = "write it like https://api.openai.com/v1"
            raise ConfigurationError("endpoint", f"{self.url!r} is not an http(s) address", fix)
        positive = {"timeout": self.timeout, "concurrency": self.concurrency, "attempts": self.attempts}
        for name, value in positive.items():
            if value <= 0:
                raise ConfigurationError(f"endpoint: {name}", f"{value} is not above 0")
        if self.retries < 0:
            raise ConfigurationError("endpoint: retries", f"{self.retries} is below 0")

    def address(self, path: str) -> str:
        """The full address of a path such as ``/embeddings``."""
        return self.url.rstrip("/") + path

    def api_key(self) -> Secret:
        """The key, read now.

        Raises:
            ConfigurationError: it cannot stand in an HTTP header; the message does not show it.
        """
        key = os.environ.get(self.api_key_env, "").strip() if self.api_key_env else ""
        if not (key.isascii() and key.isprintable()) or " " in key:
            where = f"environment variable {self.api_key_env}"
            raise ConfigurationError(where, "is no API key: it holds characters that no HTTP header may have")
        return Secret(key)
