"""What a suite and its command line say of models behind endpoints: their names and addresses."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.remote.settings import EndpointSettings
from pytest_embedbench.suite.kinds import refuse_blind_cut

SCHEMES = ("http://", "https://")

VARIANT = re.compile(r"@(?:dim=\d+|int8|binary)$", re.IGNORECASE)
"""An end that asks for a variant; any other @ after the # belongs to the model's name."""


def named_endpoint(name: str, where: str) -> NamedModel | None:
    """The model that ``http://HOST/v1#MODEL`` means, called ``HOST#MODEL``; None where the name ends in a variant.

    Raises:
        ConfigurationError: no model is named, or the address is none. It is not shown where it may hold a secret.
    """
    if VARIANT.search(name.partition("#")[2]):
        return None
    url, _, model = name.partition("#")
    _check_address(url, where)
    if not model:
        fix = f"write {url.rstrip('/')}#MODEL, with the model's name at that server (GET /models lists them)"
        raise ConfigurationError(where, f"{url}: no model is named", fix)
    return NamedModel(
        alias=f"{urlsplit(url).netloc}#{model}", spec=ModelSpec(kind="endpoint", url=url.rstrip("/"), model=model)
    )


def check_endpoint(spec: ModelSpec, where: str) -> None:
    """Check that the definition of an endpoint says where it is and what to ask it for.

    Raises:
        ConfigurationError: it does not, or asks for what nobody here can do.
    """
    if not spec.url:
        raise ConfigurationError(where, "says not where the endpoint is", 'give url = "http://HOST/v1"')
    _check_address(spec.url, f"{where}.url")
    if not spec.model:
        raise ConfigurationError(where, "names no model", 'give model = "...", the name at that server')
    refuse_blind_cut(spec, where)


def _check_address(url: str, where: str) -> None:
    try:
        EndpointSettings(url=url)
        port = urlsplit(url).port
    except ConfigurationError as error:
        raise ConfigurationError(where, error.problem, error.fix) from None
    except ValueError as error:  # of urllib: a port that is no number, a broken IPv6 address
        raise ConfigurationError(where, f"{url!r} is not an http(s) address: {error}") from None
    if port == 0:
        raise ConfigurationError(where, f"{url!r} is not an http(s) address: no server has port 0")


def anchored_tokenizer(spec: ModelSpec, folder: Path) -> ModelSpec:
    """The definition with its tokenizer's folder (relative to ``folder``) in full, where it is one."""
    path = folder / Path(spec.tokenizer).expanduser()
    if spec.tokenizer and path.exists():
        return msgspec.structs.replace(spec, tokenizer=str(path.resolve()))
    return spec
