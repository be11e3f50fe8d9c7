"""Address of an endpoint and limits on its use; secrets stay in their environment variables."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec

from pytest_embedbench.core.bounds import (
    MAX_REQUESTS_IN_FLIGHT,
    MAX_REQUESTS_PER_MINUTE,
    MAX_RETRIES,
    MAX_WAIT_SECONDS,
)
from pytest_embedbench.core.parsing import shortened
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.remote.secret import Secret
from pytest_embedbench.remote.variables import (
    check_variables,
    content,
    filled,
    is_sendable,
    refuse_secret,
    variables_in,
)

DEFAULT_PATIENCE_SECONDS = 300.0
"""Seconds; long enough for a server to load a large model, or for a quota of requests a minute."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, 5.6.2."""

MAX_CHARACTERS = 4_000
"""Characters of an address, and of a header or parameter with its name."""

OWN_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "accept-encoding"}
)
"""Headers that the client writes itself."""


class Credentials(NamedTuple):
    """What requests carry beside their body, secrets filled in. Its ``repr`` shows none of it."""

    secret: Secret
    headers: dict[str, str]
    parameters: dict[str, str]

    def __repr__(self) -> str:
        return "Credentials()"

    @property
    def query(self) -> str:
        """The query of the address, without the question mark."""
        return urlencode(self.parameters, quote_via=quote)


class EndpointSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint and the limits on its use.

    Raises:
        ConfigurationError: the address is not an http(s) address, a value looks like a secret, or a limit is out of
            range.
    """

    url: str
    """Base address, e.g. ``https://api.openai.com/v1``; paths such as ``/embeddings`` are put before its query."""
    api_key_env: str = ""
    """Name of the environment variable with the API key; without a name or a variable, no key is sent."""
    query: dict[str, str] = {}
    """Further parameters of every address, e.g. ``{"api-version": "2024-02-01"}``; ``$NAME`` in a value stands for an
    environment variable."""
    headers: dict[str, str] = {}
    """Further headers of every request, e.g. ``{"api-key": "$AZURE_KEY"}``."""
    timeout: float = 120.0
    """Seconds for one request as a whole, from connecting to the last byte of the answer."""
    concurrency: int = 8
    """Maximum number of requests in flight."""
    patience: float = DEFAULT_PATIENCE_SECONDS
    """Seconds for which a server may be loading, out of quota or stopped, without any success in between."""
    requests_per_minute: float | None = None
    """Pace of all requests of this process to the server; None for no limit."""
    attempts: int = 3
    """Maximum number of times that one request is sent, if its failures are its own and not the server's."""
    retries: int = 100
    """Maximum number of retries of all requests together; waits for the server do not count."""
    backoff: float = 0.5
    """Seconds; a retry waits about as long as this, doubled with each further retry."""

    def __post_init__(self) -> None:
        self._refuse_long()
        parts = urlsplit(self.url)
        # These parts may hold a secret, so the message does not show the address.
        if "@" in parts.netloc or parts.fragment:
            fix = "give the base address alone, and the key through an environment variable"
            raise ConfigurationError("endpoint", "the address holds more than scheme, host, path and query", fix)
        names = [name for name, _ in self._address_parameters()]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ConfigurationError("endpoint", f"the address has {min(repeated)} twice", "leave out one of the two")
        for name, value in self._address_parameters():
            refuse_secret(name, value, "endpoint", "{name}=$NAME")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            fix = "write it like https://api.openai.com/v1"
            raise ConfigurationError("endpoint", f"{self.url!r} is not an http(s) address", fix)
        self._check_tables()
        for name, most in {
            "timeout": MAX_WAIT_SECONDS,
            "concurrency": MAX_REQUESTS_IN_FLIGHT,
            "attempts": MAX_RETRIES,
            "requests_per_minute": MAX_REQUESTS_PER_MINUTE,
        }.items():
            limit = getattr(self, name)
            if limit is not None and not 0 < limit <= most:  # not for NaN either
                raise ConfigurationError(f"endpoint: {name}", f"{limit} is not above 0 and at most {most:,}")
        for name, most in {"retries": MAX_RETRIES, "patience": MAX_WAIT_SECONDS}.items():
            if not 0 <= (limit := getattr(self, name)) <= most:
                raise ConfigurationError(f"endpoint: {name}", f"{limit} is below 0 or above {most:,}")

    def _refuse_long(self) -> None:
        """Refuse long texts before they are searched for secrets, which takes the square of their length."""
        for where, table in (("query", self.query), ("headers", self.headers), ("endpoint", {"address": self.url})):
            for name, value in table.items():
                if len(name) + len(value) > MAX_CHARACTERS:
                    problem = f"{shortened(name)} has {len(name) + len(value):,} characters"
                    raise ConfigurationError(where, problem, f"servers take at most {MAX_CHARACTERS:,}")

    def _check_tables(self) -> None:
        in_address = dict(self._address_parameters())
        for name, value in self.query.items():
            refuse_secret(name, value, "query", '{name} = "$NAME"')
            if name in in_address:
                raise ConfigurationError(f"query.{name}", "is in the address too", "give it in one place")
        for name, value in self.headers.items():
            refuse_secret(name, value, "headers", '{name} = "$NAME"')
            if not _HEADER_NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
                raise ConfigurationError(f"headers.{name}", "is not an HTTP header", 'write it like api-key = "$NAME"')
            if name.casefold() in OWN_HEADERS:
                raise ConfigurationError(f"headers.{name}", "is written by the client itself", "leave it out")
            if name.casefold() == "authorization" and self.api_key_env:
                raise ConfigurationError(f"headers.{name}", "is what api_key_env sends", "leave out one of the two")

    @property
    def variables(self) -> list[str]:
        """Names of the environment variables in ``headers``, ``query`` and the address."""
        values = [*self.headers.values(), *self.query.values(), *(value for _, value in self._address_parameters())]
        return list(dict.fromkeys(variable for value in values for variable in variables_in(value)))

    @property
    def parameter_names(self) -> set[str]:
        """Names of the parameters of every address."""
        return {name for name, _ in self._address_parameters()} | set(self.query)

    def address(self, path: str) -> str:
        """Return the full address of a path such as ``/embeddings``, without the query."""
        return self.url.partition("?")[0].rstrip("/") + path

    def credentials(self) -> Credentials:
        """Read the API key and all other values from their environment variables.

        Raises:
            ConfigurationError: a variable that ``headers`` or ``query`` name is not set, or one holds characters that
                no HTTP header may have; the message does not show them.
        """
        # Checked before anything is read, so that no traceback with local variables shows a secret.
        if not is_sendable(self.api_key_env) or " " in content(self.api_key_env):
            where = f"environment variable {self.api_key_env}"
            raise ConfigurationError(where, "is not an API key: it holds characters that no HTTP header may have")
        from_address = dict(self._address_parameters())
        for where, values in (("the address", from_address), ("query", self.query), ("headers", self.headers)):
            for name, value in values.items():
                check_variables(name, value, where)
        key = content(self.api_key_env)
        return Credentials(
            Secret(key, *map(content, self.variables)),
            {
                **({"Authorization": f"Bearer {key}"} if key else {}),
                **{name: filled(value) for name, value in self.headers.items()},
            },
            {name: filled(value) for name, value in {**from_address, **self.query}.items()},
        )

    def _address_parameters(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.url).query, keep_blank_values=True)
