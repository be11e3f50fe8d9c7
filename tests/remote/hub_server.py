"""A Hugging Face Hub for tests, run as a process of its own: repositories in a folder, behind the Hub's API.

A repository is ``ROOT/models/org/name/<commit>/`` or ``ROOT/datasets/...``, with the files of that commit, and beside
the commits the file ``main`` with the newest one's name. Parquet and safetensors are in large-file storage (their ETag is
the sha256), other files are git blobs (their ETag is git's id), as on the Hub.

``/control`` takes what is to go wrong, as JSON; what it does not name goes well:

- ``token``: without it repositories are hidden (401); ``gated``: their files are (403, with the Hub's error code);
- ``down``: every answer has this status;
- ``corrupt``: a file whose bytes are wrong, ``cut``: one that breaks off half-way; each by the end of its path;
- ``echo``: errors repeat the Authorization header.

``/control/seen`` tells which requests came.
"""

from __future__ import annotations

import hashlib
import json
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

ROOT = Path(sys.argv[1])
LARGE = {".parquet", ".safetensors"}
FAULTS: dict[str, Any] = {}
SEEN: list[str] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    request = Request(scope, receive)
    path = request.url.path
    if path == "/control":
        FAULTS.clear()
        SEEN.clear()
        FAULTS.update(json.loads(await request.body()))
        await Response()(scope, receive, send)
    elif path == "/control/seen":
        await JSONResponse(SEEN)(scope, receive, send)
    elif path == "/api/agent-harnesses":  # the client asks by itself
        await JSONResponse({})(scope, receive, send)
    else:
        SEEN.append(f"{request.method} {path}")
        response = answer(request)
        if request.method == "GET" and broken(path, "cut"):
            await cut(response, receive, send)
        else:
            await response(scope, receive, send)


def answer(request: Request) -> Response:
    parts = request.url.path.strip("/").split("/")
    api = parts[0] == "api"
    kind = parts[1] if api else "datasets" if parts[0] == "datasets" else "models"
    organisation, name, what, revision, *rest = parts[2:] if api else parts[kind == "datasets" :]
    home, file = ROOT / kind / organisation / name, "/".join(rest)
    commit = (home / "main").read_text() if revision == "main" and home.is_dir() else revision
    files = {path.relative_to(home / commit).as_posix(): path for path in (home / commit).rglob("*") if path.is_file()}
    if problem := refused(request, home, commit, None if api else file):
        return refusal(request, *problem)
    if what == "revision":
        siblings = [{"rfilename": each} for each in files]
        return JSONResponse({"id": f"{organisation}/{name}", "sha": commit, "siblings": siblings, "tags": []})
    if what == "tree":
        return JSONResponse([listed(each, path) for each, path in sorted(files.items())])
    return sent(request, file, files[file], commit)


def refused(request: Request, home: Path, commit: str, file: str | None) -> tuple[int, str] | None:
    """Why a request gets nothing: status and the Hub's error code."""
    token = FAULTS.get("token")
    if token and request.headers.get("authorization") != f"Bearer {token}":
        return 401, "RepoNotFound"
    cases = {
        (int(FAULTS.get("down", 0)), ""): "down" in FAULTS,
        (404, "RepoNotFound"): not home.is_dir(),
        (404, "RevisionNotFound"): not (home / commit).is_dir(),
        (403, "GatedRepo"): file is not None and "gated" in FAULTS,
        (404, "EntryNotFound"): file is not None and not (home / commit / file).is_file(),
    }
    return next((problem for problem, holds in cases.items() if holds), None)


def refusal(request: Request, status: int, code: str) -> Response:
    said = "no"
    if FAULTS.get("echo"):
        said += f", {request.headers.get('authorization')}"
    return JSONResponse({"error": said}, status, {"x-error-code": code, "x-error-message": said})


def digests(path: Path) -> tuple[str, str]:
    """The id of the git blob and the sha256 of a file's content."""
    content = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()  # noqa: S324 - git's
    return blob, hashlib.sha256(content).hexdigest()


def listed(file: str, path: Path) -> dict[str, Any]:
    blob, sha256 = digests(path)
    size = path.stat().st_size
    entry: dict[str, Any] = {"type": "file", "path": file, "size": size, "oid": blob}
    if path.suffix in LARGE:
        entry["lfs"] = {"oid": sha256, "size": size, "pointerSize": 130}
    return entry


def sent(request: Request, file: str, path: Path, commit: str) -> Response:
    content = path.read_bytes()
    blob, sha256 = digests(path)
    large = path.suffix in LARGE
    headers = {"x-repo-commit": commit, "etag": f'"{sha256 if large else blob}"', "content-length": str(len(content))}
    if large:
        headers |= {"x-linked-etag": headers["etag"], "x-linked-size": headers["content-length"]}
    if broken(file, "corrupt"):
        content = bytes([content[0] ^ 1]) + content[1:]
    return Response(b"" if request.method == "HEAD" else content, headers=headers)


def broken(path: str, fault: str) -> bool:
    return bool(FAULTS.get(fault)) and path.endswith(FAULTS[fault])


async def cut(response: Response, receive: Receive, send: Send) -> None:
    """Send half of the body, then drop the connection."""
    body = bytes(response.body)
    await send({"type": "http.response.start", "status": 200, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    cycle: Any = receive
    cycle.__self__.transport.abort()  # uvicorn's own


if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)  # noqa: T201 - how the tests learn of it
    uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off")).run(sockets=[listening])
