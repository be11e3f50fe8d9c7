"""What to do about the errors of servers that no waiting helps against."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from pytest_embedbench.remote.settings import EndpointSettings

OWN_PATHS = ("/embeddings", "/chat/completions")
"""Paths that are added to an endpoint's address."""

KEY_STATUSES = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


def status_fix(status: int, settings: EndpointSettings, message: str) -> str:
    """Return what to do about an error status that every further request would get too; "" where nobody can say.

    Args:
        status: the status.
        settings: the endpoint.
        message: the server's message.
    """
    if status in KEY_STATUSES:
        return _key_fix(settings)
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE}:
        return _address_fix(settings, message)
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return _proxy_fix(settings)
    if status in {HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.TOO_MANY_REQUESTS}:
        return "look at the account's credit and limits at the provider: waiting does not help"
    return ""


def _key_fix(settings: EndpointSettings) -> str:
    name = settings.api_key_env
    sent = [*([name] if name and os.environ.get(name, "").strip() else []), *settings.variables]
    if sent:
        return f"the server refuses {' and '.join(sent)}: is it a key of this server, and may it use this model?"
    if name:
        return f"set the environment variable {name} to the key: it is not set, so no key was sent"
    # Gateways that want a version want the key in a header of their own.
    key = 'headers = { api-key = "$NAME" }' if "api-version" in settings.parameter_names else 'api_key_env = "NAME"'
    return f"name the environment variable that holds the key, {key} in the model's definition (no API key was sent)"


def _address_fix(settings: EndpointSettings, message: str) -> str:
    base = settings.url.partition("?")[0].rstrip("/")
    look = f"curl {base}/models lists the models' names"
    # Azure's words where the version is missing from the query.
    if "resource not found" in message.casefold() and "api-version" not in settings.parameter_names:
        key = 'query = { api-version = "..." } in the model\'s definition'
        return f"give the version that the gateway wants, {key}, and check the address"
    if "model" in message.casefold():
        return f"give the model's name as this server has it: {look}"
    for path in OWN_PATHS:
        if base.endswith(path):
            return f"give the address without {path}, which is added to it: {base.removesuffix(path)}"
    if not urlsplit(base).path.strip("/"):
        return f"give the address with the version, {base}/v1"
    return f"check the address and the model's name: {look}"


def _proxy_fix(settings: EndpointSettings) -> str:
    parts = urlsplit(settings.url)
    name = f"{parts.scheme.upper()}_PROXY"
    return f"look at {name} (or ALL_PROXY) in the environment, or add {parts.hostname} to NO_PROXY"


def connection_problem(error: BaseException, settings: EndpointSettings) -> tuple[str, str, bool]:
    """Return what a failed connection means, what to do about it, and whether that can never pass by itself.

    Args:
        error: the client's error, with its causes.
        settings: the endpoint.
    """
    parts = urlsplit(settings.url)
    host, place = parts.hostname or "", parts.netloc
    causes = list(_causes(error))
    if _proxied(parts.scheme, host):
        return "no connection through the proxy", _proxy_fix(settings), False
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = cause.verify_message or str(cause)
            fix = f"the certificate of {host} is not trusted here"
            if "mismatch" in reason.casefold() or "not valid for" in reason.casefold():
                fix = f"write the host as the certificate names it, in place of {host}"
            elif "expired" not in reason.casefold():
                fix += ": set SSL_CERT_FILE to a file with your authority's certificates (PEM)"
            return f"TLS: {reason}", fix, True
        if isinstance(cause, ssl.SSLError):
            plain = "WRONG_VERSION_NUMBER" in str(cause) or "RECORD_LAYER" in str(cause)
            other = settings.address("").replace("https:", "http:", 1)
            fix = f"the server may speak plain HTTP: write {other}" if plain else ""
            return f"TLS: {getattr(cause, 'reason', None) or cause}", fix, True
        if isinstance(cause, socket.gaierror):
            fix = f"check the host's name, {host}, and this machine's network"
            return f"unknown host {host}", fix, False
    for cause in causes:
        if isinstance(cause, ConnectionRefusedError):
            port = f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
            return "connection refused", f"start the server, or correct the address: nothing listens at {port}", False
    return "", f"check the address, {place}, and this machine's network", False


def broken_connection_fix(settings: EndpointSettings) -> str:
    """Return what to do about a server that has never answered, and breaks connections; "" where nobody can say."""
    if urlsplit(settings.url).scheme == "https":
        return ""
    return f"the server may want TLS: write {settings.address('').replace('http:', 'https:', 1)}"


def _proxied(scheme: str, host: str) -> bool:
    proxies = getproxies()
    return bool(proxies.get(scheme) or proxies.get("all")) and not proxy_bypass(host)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that caused it, each once."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
