"""What servers say when they refuse a request: which words mean a text that is too long, or too many of them."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from pytest_embedbench.remote.errors import CountError, EndpointError, OrderError, ReportedError

if TYPE_CHECKING:
    from pytest_embedbench.models.spec import ModelSpec

REFUSALS = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
"""Statuses with which a server refuses a request; it may take one with fewer texts, or with other ones."""

FAILURES = {HTTPStatus.CONFLICT, HTTPStatus.FAILED_DEPENDENCY}
"""Statuses below 500 of a server that failed on a request; 424 is text-embeddings-inference's."""

_TOO_LONG = re.compile(
    r"too (?:long|large|big)|too many (?:input )?tokens|payload|entity too|reduce (?:the|your) (?:length|prompt|input)"
    r"|context (?:length|window|size)|maximum (?:sequence|input|context|token)|max_?(?:seq|model_len|length|tokens)"
    r"|(?:exceed|longer|larger|less|more|greater|at most|up to|limit|maximum)[^.]{0,60}(?:tokens?|length|characters)"
    r"|(?:tokens?|length|characters)[^.]{0,60}(?:exceed|longer|larger|less|more|greater|at most|limit|maximum)"
    r"|size of tensor|index out of range",
    re.IGNORECASE,
)
"""Words about a text that is too long. The last are torch's, where a server lets a model fail on its positions."""

_TOO_MANY = re.compile(
    r"batch|array|too many (?:inputs|texts|items|documents|strings)|number of (?:inputs|texts|items|documents)"
    r"|(?:inputs|texts|items|documents)[^.]{0,40}(?:at most|exceed|maximum|limit|more than)"
    r"|(?:at most|maximum|limit|up to|only)[^.]{0,40}(?:inputs|texts|items|documents|strings)|list should have",
    re.IGNORECASE,
)
"""Words about a request with too many texts."""

_TOKEN_NUMBERS = re.compile(r"(\d[\d,_]*)\s*(?:input\s*)?tokens?\b", re.IGNORECASE)

MIN_TOKEN_LIMIT = 16
"""Tokens; a smaller number in a server's message is not a model's longest input."""


def is_refusal(error: EndpointError) -> bool:
    """Whether a request with fewer texts, or with other ones, may succeed."""
    return not error.fatal and (
        error.status in REFUSALS or is_server_failure(error) or isinstance(error, ReportedError)
    )


def is_server_failure(error: EndpointError) -> bool:
    """Whether the server failed on a request, rather than refused it; the client has tried it again already."""
    status = error.status
    return error.dropped or (status is not None and (status in FAILURES or status >= HTTPStatus.INTERNAL_SERVER_ERROR))


def says_too_long(error: EndpointError) -> bool:
    """Whether a server, asked for one text, refuses it for its length."""
    return error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or bool(_TOO_LONG.search(error.problem))


def says_too_many(error: EndpointError) -> bool:
    """Whether a server, asked for several texts, refuses their number."""
    return bool(_TOO_MANY.search(error.problem))


def too_long_fix(spec: ModelSpec, message: str) -> str:
    """Return both ways out for texts that are too long for a server: cut them here, or let it cut."""
    numbers = [int(re.sub(r"[,_]", "", number)) for number in _TOKEN_NUMBERS.findall(message)]
    # Servers name their limit and the text's length, in any order.
    limit = min((number for number in numbers if number >= MIN_TOKEN_LIMIT), default=spec.max_tokens)
    shown = limit or "N"
    tokenizer = spec.tokenizer or (spec.model if "/" in spec.model else "FOLDER-OR-HUB-ID")
    return (
        f'cut texts here, with max_seq_length = {shown} and tokenizer = "{tokenizer}" in the model\'s definition, or '
        "let the server cut them: text-embeddings-inference --auto-truncate, vLLM document_parameters = "
        f"{{ truncate_prompt_tokens = {shown} }}"
    )


def whole_request_fix(texts: int, error: EndpointError, too_long: str = "") -> str:
    """Return what to do about a load profile's request, which is sent as it is, when it fails.

    Args:
        texts: texts of the request.
        error: the failure.
        too_long: what to do about texts that are too long.
    """
    many = texts > 1 and (isinstance(error, (CountError, OrderError)) or is_refusal(error) or error.timed_out)
    long = is_refusal(error) and says_too_long(error) and not (many and says_too_many(error))
    ways = []
    if many:
        ways.append(
            f"a profile sends all of its {texts:,} texts in one request: choose one with fewer, such as b1, or set "
            "batch_texts in the model's definition to what the server takes, which spreads them over several requests"
        )
    if long and too_long:
        ways.append(too_long)
    if error.timed_out:
        ways.append("choose fewer clients, such as c1, or raise timeout")
    return "; ".join(ways)


REFUSED_FIX = "look at the text, and mend it or leave it out; the server's log may say more"

BREAKS_FIX = (
    "look at the text, and mend it or leave it out; a server that computes in 16 bits may overflow: start it with "
    "--dtype float32 or bfloat16"
)
