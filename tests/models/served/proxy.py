"""A proxy that breaks things: it forwards to a real server and, by the script that the test gave, does something else.

``python proxy.py UPSTREAM`` prints its port. POST /control sets the script: one fault for each request, then honest.
GET /control says what came. A fault: {"kind": "status", "status", "headers"}, "reset", "truncate", "hang" (answers
after ``seconds``), "reverse" (items in another order, with their indices), "lose" (the last vector is missing),
"shorten" (vectors lose a dimension), "uncounted" (no usage), "timing" (a Server-Timing
header), "null", "zero" (of texts with ``text`` in them), "index" (every vector has this ``index``; ``reverse``: in another
order), "first" (the others are missing), "nest", "empty", "honest"; all may have ``delay``, and "only": a text of the body that makes it apply, else it stays in the script. "only", "above" (more
texts than that in the request) and "characters" (more than that in its longest text) also limit the default.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import Any

import httpx2
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

UPSTREAM = sys.argv[1]
CLIENT = httpx2.AsyncClient(timeout=60, trust_env=False)


class State:
    def __init__(self, script: list[dict[str, Any]], default: dict[str, Any] | None = None) -> None:
        self.script, self.default = script, default or {"kind": "honest"}
        self.bodies: list[dict[str, Any]] = []
        self.under_way = self.peak = 0

    def next(self, body: str) -> dict[str, Any]:
        for place, fault in enumerate(self.script):
            if fault.get("only", "") in body:
                return self.script.pop(place)
        texts, default = json.loads(body)["input"], self.default
        applies = default.get("only", "") in body and len(texts) > default.get("above", 0)
        applies = applies and max(map(len, texts)) > default.get("characters", 0)
        return self.default if applies else {"kind": "honest"}


STATE = State([])


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    global STATE  # noqa: PLW0603 - a test begins anew
    if scope["type"] != "http":
        return
    request = Request(scope, receive)
    if scope["path"] == "/control":
        if request.method == "POST":
            STATE = State(**await request.json())
        await JSONResponse({"bodies": STATE.bodies, "peak": STATE.peak})(scope, receive, send)
        return
    state = STATE
    state.under_way += 1
    state.peak = max(state.peak, state.under_way)
    try:
        await answer(state, request, scope, receive, send)
    finally:
        state.under_way -= 1


async def answer(state: State, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
    body = await request.body()
    state.bodies.append(json.loads(body))
    fault = state.next(body.decode())
    await asyncio.sleep(fault.get("delay", 0))
    kind = fault["kind"]
    if kind == "reset":
        cycle: Any = receive
        cycle.__self__.transport.abort()  # uvicorn's own
    elif kind == "truncate":
        promised = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": promised})
        await send({"type": "http.response.body", "body": b'{"data": [', "more_body": False})
    elif kind == "status":
        error = {"error": {"message": fault.get("message", "no")}}
        await JSONResponse(error, fault["status"], fault.get("headers"))(scope, receive, send)
    else:
        await (await forwarded(request, body, fault))(scope, receive, send)


async def forwarded(request: Request, body: bytes, fault: dict[str, Any]) -> Response:
    await asyncio.sleep(fault.get("seconds", 0))
    headers = {name: value for name, value in request.headers.items() if name in {"authorization", "content-type"}}
    reply = await CLIENT.post(UPSTREAM + request.url.path, content=body, headers=headers)
    said = reply.json()
    spoil(said, fault, json.loads(body)["input"])
    back = {"server-timing": 'cache;desc="hit, or not";dur=1.5, total;dur=12'} if fault["kind"] == "timing" else {}
    if timing := reply.headers.get("x-inference-time"):
        back["x-inference-time"] = timing
    return JSONResponse(said, reply.status_code, back)


def spoil(said: dict[str, Any], fault: dict[str, Any], texts: list[str]) -> None:
    """Do what the fault says to the body of an answer."""
    data = said["data"]
    if fault["kind"] in SPOILERS:
        SPOILERS[fault["kind"]](data)
    elif fault["kind"] in FILLERS:
        for item, text in zip(data, texts, strict=True):
            if fault["text"] in text:
                item["embedding"] = [FILLERS[fault["kind"]]] * len(item["embedding"])
    elif fault["kind"] == "index":
        for item, text in zip(data, texts, strict=True):
            item["index"] = fault["index"]
            if fault.get("text", "no such text") in text:
                item["embedding"] = [None] * len(item["embedding"])
        if fault.get("reverse"):
            data.reverse()
    elif fault["kind"] == "uncounted":
        del said["usage"]


FILLERS = {"null": None, "zero": 0.0}

SPOILERS: dict[str, Any] = {
    "reverse": lambda data: data.reverse(),
    "lose": lambda data: data.pop(),
    "first": lambda data: data.__delitem__(slice(1, None)),
    "shorten": lambda data: [item["embedding"].pop() for item in data],
    "nest": lambda data: [item.update(embedding=[item["embedding"]] * 2) for item in data],
    "empty": lambda data: [item["embedding"].clear() for item in data],
}


if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)  # noqa: T201 - how the tests learn of it
    uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off")).run(sockets=[listening])
