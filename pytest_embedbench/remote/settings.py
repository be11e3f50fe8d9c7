"""Address of an endpoint and limits on its use; the API key stays in its environment variable."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import msgspec

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.remote.secret import Secret


class EndpointSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint and the limits on its use.

    Raises:
        ConfigurationError: the address is not a plain http(s) address, or a limit is out of range.
    """

    url: str
    """Base address, e.g. ``https://api.openai.com/v1``; paths such as ``/chat/completions`` are appended."""
    api_key_env: str = ""
    """Name of the environment variable with the API key; without a name or a variable, no key is sent."""
    timeout: float = 120.0
    """Seconds for one request as a whole, from connecting to the last byte of the answer."""
    concurrency: int = 8
    """Maximum number of requests in flight."""
    attempts: int = 6
    """Maximum number of times that one request is sent."""
    retries: int = 100
    """Maximum number of retries of all requests together."""
    backoff: float = 0.5
    """Seconds; a retry waits a random time below this, doubled with each further retry."""
    longest_wait: float = 120.0
    """Seconds; an endpoint that asks for a longer wait (``Retry-After``) is given up."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        # These parts may hold a secret, so the message does not show the address.
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
        """Return the full address of a path such as ``/embeddings``."""
        return self.url.rstrip("/") + path

    def api_key(self) -> Secret:
        """Read the API key from its environment variable.

        Raises:
            ConfigurationError: the key has characters that no HTTP header may have; the message does not show it.
        """
        # Stripped: a key that was read from a file often ends with a newline.
        key = os.environ.get(self.api_key_env, "").strip() if self.api_key_env else ""
        if not (key.isascii() and key.isprintable()) or " " in key:
            where = f"environment variable {self.api_key_env}"
            raise ConfigurationError(where, "is not an API key: it holds characters that no HTTP header may have")
        return Secret(key)
