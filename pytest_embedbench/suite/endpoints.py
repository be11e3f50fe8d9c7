"""Models behind endpoints: their names (``http://HOST/v1#MODEL``), addresses and definitions."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from pytest_embedbench.core.files import exists, user_path
from pytest_embedbench.core.parsing import parse_at
from pytest_embedbench.core.thresholds import parse_duration
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.remote.settings import EndpointSettings
from pytest_embedbench.suite.kinds import refuse_length_without_tokenizer

ENDPOINT_SCHEMES = ("http://", "https://")

_VARIANT_SUFFIX = re.compile(r"@(?:dim=\d+|int8|binary)$", re.IGNORECASE)
"""The end of a name that asks for a variant. Any other @ after the # is part of the model's name at the server."""


def named_endpoint(name: str, where: str) -> NamedModel | None:
    """Return the model that ``http://HOST/v1#MODEL`` stands for; its alias is ``HOST#MODEL``.

    None if the name ends in a variant, which the caller must take off first.

    Raises:
        ConfigurationError: the model's name is missing, or the address is not one. The message does not show an
            address that may hold a secret.
    """
    if _VARIANT_SUFFIX.search(name.partition("#")[2]):
        return None
    url, _, model = name.partition("#")
    _check_address(url, where)
    if not model:
        # Quotes, since shells take "?" for a pattern.
        quoted = f"'{url.rstrip('/')}#MODEL'" if "?" in url else f"{url.rstrip('/')}#MODEL"
        fix = f"write {quoted}, with the model's name at that server (GET /models lists them)"
        raise ConfigurationError(where, f"{url}: no model is named", fix)
    return NamedModel(
        alias=f"{urlsplit(url).netloc}#{model}", spec=ModelSpec(kind="endpoint", url=url.rstrip("/"), model=model)
    )


def check_endpoint(spec: ModelSpec, where: str) -> None:
    """Check that an endpoint's definition has an address and a model, and cuts no texts without a tokenizer.

    Raises:
        ConfigurationError: one is missing, the address is not one, or texts would be cut without a tokenizer.
    """
    if not spec.url:
        raise ConfigurationError(where, "does not say where the endpoint is", 'give url = "http://HOST/v1"')
    _check_address(spec.url, f"{where}.url")
    if not spec.model:
        raise ConfigurationError(where, "does not name a model", 'give model = "...", the name at that server')
    if isinstance(spec.patience, str):
        parse_at(f"{where}.patience", parse_duration, spec.patience)
    try:
        EndpointSettings(url=spec.url, api_key_env=spec.api_key_env, query=spec.query, headers=spec.headers)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}.{error.where}", error.problem, error.fix) from None
    refuse_length_without_tokenizer(spec, where)


def _check_address(url: str, where: str) -> None:
    try:
        EndpointSettings(url=url)  # made for its checks alone
        port = urlsplit(url).port
    except ConfigurationError as error:
        raise ConfigurationError(where, error.problem, error.fix) from None
    except ValueError as error:  # raised by urllib: a port that is not a number, a malformed IPv6 address
        raise ConfigurationError(where, f"{url!r} is not an http(s) address: {error}") from None
    if port == 0:
        raise ConfigurationError(where, f"{url!r} is not an http(s) address: no server has port 0")


def with_tokenizer_path(spec: ModelSpec, folder: Path) -> ModelSpec:
    """Return the definition with its tokenizer's path made absolute; a tokenizer that is a Hub id stays as it is.

    Args:
        spec: the definition.
        folder: where relative paths start.
    """
    # A folder "org/name" and a Hub id look alike: what exists on disk is taken for a path.
    path = user_path(spec.tokenizer, folder)
    if spec.tokenizer and exists(path):
        return msgspec.structs.replace(spec, tokenizer=str(path))
    return spec
