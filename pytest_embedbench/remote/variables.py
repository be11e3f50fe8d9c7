"""Values of headers and queries that name environment variables: ``$AZURE_KEY``, ``Token ${MY_TOKEN}``."""

from __future__ import annotations

import os
import re

from pytest_embedbench.errors import ConfigurationError

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")

_SECRET_NAME = re.compile(
    r"(?:^|[-_.])(?:\w*key|\w*token|\w*secret|password|passwd|pwd|pass|auth\w*|signature|sig|credentials?|cookie|code)"
    r"(?:$|[-_.])",
    re.IGNORECASE,
)
"""Names whose values are secrets: ``api-key``, ``Authorization``, ``Ocp-Apim-Subscription-Key``, ``sig``."""

_SECRET_VALUE = re.compile(
    r"(?:bearer|basic|token)\s+\S|(?:sk|pk|hf|gsk|xai|nvapi|jina|ghp|eyJ)[-_]\w{8}|AIza\w{8}"
    r"|(?=\w*[0-9])(?=\w*[A-Za-z])\w{20}",
    re.IGNORECASE,
)
"""Beginnings of known kinds of keys, and long runs of letters and digits."""


def variables_in(value: str) -> list[str]:
    """Return the names of the environment variables in a value, in order."""
    return [braced or bare for braced, bare in _VARIABLE.findall(value)]


def refuse_secret(name: str, value: str, where: str, form: str) -> None:
    """Refuse a value that looks like a secret and names no environment variable. The message does not show it.

    Args:
        name: name of the header or parameter.
        value: its value as the user wrote it.
        where: where it stands.
        form: how a variable is named there, with ``{name}`` for the name.

    Raises:
        ConfigurationError: the name is that of a secret, or the value looks like one.
    """
    literal = _VARIABLE.sub("", value)
    named = _SECRET_NAME.search(name) and not variables_in(value) and value
    if named or _SECRET_VALUE.search(literal):
        problem = f"the value of {name} looks like a secret"
        fix = f"put it into an environment variable NAME, and write {form.format(name=name)}"
        raise ConfigurationError(where, problem, fix)


def check_variables(name: str, value: str, where: str) -> None:
    """Check that the variables in a value are set to something that an HTTP header may have.

    Raises:
        ConfigurationError: one is not; the message does not show what it holds.
    """
    for variable in variables_in(value):
        if not content(variable):
            fix = f"set it to what the server expects as {name}"
            raise ConfigurationError(f"environment variable {variable}", f"is not set; {where}.{name} names it", fix)
        if not is_sendable(variable):
            problem = f"holds characters that no HTTP header may have; {where}.{name} names it"
            raise ConfigurationError(f"environment variable {variable}", problem)


def content(variable: str) -> str:
    """Return what an environment variable holds; "" if it is not set."""
    # Stripped: a key that was read from a file often ends with a newline.
    return os.environ.get(variable, "").strip() if variable else ""


def is_sendable(variable: str) -> bool:
    """Whether an HTTP header may have what the variable holds."""
    return (content(variable).isascii() and content(variable).isprintable()) or not content(variable)


def filled(value: str) -> str:
    """Return the value with its variables filled in."""
    return _VARIABLE.sub(lambda match: content(match[1] or match[2]), value)
