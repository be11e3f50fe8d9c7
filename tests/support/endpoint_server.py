"""An OpenAI-compatible server for tests, run as a process of its own: it does what ``/control`` tells it to.

A behaviour is a JSON object; ``kind`` says what happens to a request:

- ``judge``: answer the question; ``how`` is ``honest``, ``first`` (always that list) or ``say`` (``text``, word by word);
  ``refuses`` lists what is answered with 400 (``json_schema``, ``json_object``, ``temperature``);
- ``status``: answer with ``status``, ``headers`` and ``body`` (text); ``echo`` adds the Authorization header to both;
- ``raw``: answer 200 with ``body`` as ``type``, in ``encoding``; ``{key}`` in it is the Authorization header;
- ``truncate``: promise more bytes than come; ``reset``: cut the connection; ``hang``: answer after ``delay`` only.

``delay`` (seconds) may be given with any of them. Each request takes the next behaviour of ``script``; when none is
left, ``default`` holds. ``/control/seen`` returns the requests that came, and how many at most were under way at once.
"""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

Behaviour = dict[str, Any]


@dataclass
class State:
    default: Behaviour = field(default_factory=lambda: {"kind": "judge", "how": "honest"})
    script: list[Behaviour] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)
    under_way: int = 0
    peak: int = 0


STATE = State()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    request = Request(scope, receive)
    if scope["path"] == "/control":
        STATE.__init__(**await request.json())  # type: ignore[misc]
        await JSONResponse({})(scope, receive, send)
    elif scope["path"] == "/control/seen":
        await JSONResponse({"seen": STATE.seen, "peak": STATE.peak})(scope, receive, send)
    else:
        STATE.under_way += 1
        STATE.peak = max(STATE.peak, STATE.under_way)
        try:
            await answer(request, scope, receive, send)
        finally:
            STATE.under_way -= 1


async def answer(request: Request, scope: Scope, receive: Receive, send: Send) -> None:
    body: dict[str, Any] = await request.json() if request.method == "POST" else {}
    key = request.headers.get("authorization", "")
    STATE.seen.append({"path": scope["path"], "method": request.method, "body": body, "authorization": key})
    behaviour = STATE.script.pop(0) if STATE.script else STATE.default
    await asyncio.sleep(behaviour.get("delay", 0))
    kind = behaviour["kind"]
    if kind == "reset":
        cycle: Any = receive
        cycle.__self__.transport.abort()  # uvicorn's own
    elif kind == "truncate":
        promised = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": promised})
        await send({"type": "http.response.body", "body": b'{"choices": [', "more_body": False})
    elif kind == "status":
        text = behaviour.get("body", "no")
        headers = dict(behaviour.get("headers", {}))
        if behaviour.get("echo"):
            text, headers["x-echo"] = text + key, key
        await Response(text, behaviour["status"], headers)(scope, receive, send)
    elif kind == "raw":
        body_text = behaviour["body"].replace("{key}", key)
        headers = {"x-echo": key, "openai-processing-ms": "7"}
        await Response(
            body_text.encode(behaviour.get("encoding", "utf-8")),
            200,
            headers,
            behaviour.get("type", "application/json"),
        )(scope, receive, send)
    else:
        await judged(body, behaviour)(scope, receive, send)


def judged(body: dict[str, Any], behaviour: Behaviour) -> Response:
    form = body.get("response_format", {}).get("type")
    for refused in behaviour.get("refuses", []):
        if refused == form or (refused == "temperature" and "temperature" in body):
            return JSONResponse({"error": {"message": f"Unsupported parameter: {refused}"}}, 400)
    if behaviour["how"] == "say":
        text = behaviour["text"]
    else:
        verdict = "first" if behaviour["how"] == "first" else honest(body["messages"][-1]["content"])
        text = json.dumps({"reason": f"the {verdict} one", "verdict": verdict})
    prompt = " ".join(message["content"] for message in body["messages"])
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}
    completion = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    return JSONResponse(completion if behaviour.get("uncounted") else {**completion, "usage": usage})


def honest(content: str) -> str:
    """Return the list in which the best document with the query's last word ranks higher."""
    question, _ = json.JSONDecoder().raw_decode(content)
    word = question["query"].split()[-1]

    def worth(texts: list[str]) -> float:
        return max((1 / rank for rank, text in enumerate(texts, 1) if word in text.split()), default=0.0)

    first, second = worth(question["first"]), worth(question["second"])
    return "tie" if first == second else "first" if first > second else "second"


if __name__ == "__main__":
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    print(listening.getsockname()[1], flush=True)  # noqa: T201 - how the tests learn of it
    uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off")).run(sockets=[listening])
