"""Measure this machine's matrix rate at an encoder's shapes, in a separate process: ``HIDDEN INTERMEDIATE DTYPE``.

Every core works on its own batch, as in encoding: as many threads as torch would use, each on one core. Prints the best
rate of several batch sizes, in operations a second.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import torch

TOKENS = (512, 1024, 2048, 4096)
SECONDS = 1.0
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def native_bf16() -> bool:
    """Whether this processor has instructions for bf16 products: AVX-512 or AMX (x86), or ARM's."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - not a path of ours
            words = set(file.read().split())
    except OSError:
        return False
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def rate(tokens: int, hidden: int, intermediate: int, dtype: torch.dtype, threads: int) -> float:
    """Return the operations a second of all threads, each multiplying a layer's matrices with its own tokens."""

    def layers() -> float:
        torch.set_num_threads(1)
        narrow, wide = torch.randn(tokens, hidden).to(dtype), torch.randn(tokens, intermediate).to(dtype)
        square = torch.randn(hidden, hidden).to(dtype)
        out, back = torch.randn(intermediate, hidden).to(dtype), torch.randn(hidden, intermediate).to(dtype)
        done, started = 0, time.perf_counter()
        with torch.inference_mode():
            while time.perf_counter() < started + SECONDS:
                for _ in range(4):
                    torch.nn.functional.linear(narrow, square)
                torch.nn.functional.linear(narrow, out)
                torch.nn.functional.linear(wide, back)
                done += 1
        work = 2 * tokens * (4 * hidden * hidden + 2 * hidden * intermediate)
        return done * work / (time.perf_counter() - started)

    with ThreadPoolExecutor(threads) as pool:
        return sum(job.result() for job in [pool.submit(layers) for _ in range(threads)])


def main(hidden: int, intermediate: int, dtype: str) -> None:
    if dtype == "bf16" and not native_bf16():
        print(json.dumps({"rate": None, "tokens": None, "threads": None}))
        return
    threads = torch.get_num_threads()
    rates = {tokens: rate(tokens, hidden, intermediate, DTYPES[dtype], threads) for tokens in TOKENS}
    best = max(rates, key=rates.__getitem__)
    print(json.dumps({"rate": rates[best], "tokens": best, "threads": threads}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
