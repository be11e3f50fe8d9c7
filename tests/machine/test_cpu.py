"""Decisions by the CPU's features, whatever machine the tests run on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
import torch

from pytest_embedbench.machine import torch_compat
from pytest_embedbench.machine.cpu import (
    describe_cpu_paths,
    fast_dtypes,
    has_onednn_on_avx512,
    multiplies_bf16,
    multiplies_fp16,
)
from pytest_embedbench.models.fast.attention import products_pay
from pytest_embedbench.models.fast.linear import fusion_pays

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(not torch_compat.has_fused_linear(), reason="this build of torch has no oneDNN")


class Cpu(NamedTuple):
    """What torch says of a CPU."""

    capability: str
    bf16: bool = False
    fp16: bool = False
    amx: bool = False


class Decisions(NamedTuple):
    """What follows from it: number formats with instructions, those with fused layers, attention by products."""

    paths: str
    fast: tuple[str, ...] = ()
    fused: tuple[torch.dtype, ...] = ()
    products: tuple[torch.dtype, ...] = ()


F32, BF16, F16 = torch.float32, torch.bfloat16, torch.float16

CPUS = {
    "Zen 3": (Cpu("AVX2"), Decisions("AVX2 (no AVX-512, no AMX)")),
    # AVX-VNNI-2 has bf16 on AVX2; torch's fused layers are slower there all the same.
    "Sierra Forest": (Cpu("AVX2", bf16=True, fp16=True), Decisions("AVX2 (no AVX-512, no AMX)")),
    "Skylake": (Cpu("AVX512"), Decisions("AVX-512 (no AMX)", fused=(F32,))),
    "Zen 4": (Cpu("AVX512", bf16=True), Decisions("AVX-512 with bf16 (no AMX)", ("bf16",), (F32, BF16), (BF16,))),
    "Sapphire Rapids": (
        Cpu("AVX512", bf16=True, fp16=True, amx=True),
        Decisions("AVX-512 with bf16, AMX", ("bf16", "fp16"), (F32, BF16), (BF16,)),
    ),
    "Graviton": (
        Cpu("DEFAULT", bf16=True),
        Decisions(f"{platform.machine()}, default instructions (no AVX2, no AVX-512, no AMX)"),
    ),
}


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Cpu], None]:
    """Return a function that makes torch describe another CPU."""

    def become(cpu: Cpu) -> None:
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: cpu.capability)
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: cpu.bf16)
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_fp16_supported", lambda: cpu.fp16)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: cpu.amx)

    return become


def decisions() -> Decisions:
    formats = (F32, BF16, F16)
    return Decisions(
        describe_cpu_paths(),
        fast_dtypes("cpu"),
        tuple(dtype for dtype in formats if fusion_pays(dtype)),
        tuple(dtype for dtype in formats if products_pay(dtype)),
    )


@pytest.mark.parametrize("name", CPUS)
def test_a_cpu_decides(pretend: Callable[[Cpu], None], name: str) -> None:
    cpu, expected = CPUS[name]
    pretend(cpu)
    assert decisions() == expected


@pytest.mark.parametrize("name", CPUS)
def test_without_onednn_all_cpus_run_plain_layers(
    pretend: Callable[[Cpu], None], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pretend(CPUS[name][0])
    monkeypatch.setattr(torch_compat, "LINEAR_OPERATION", "_gone")
    assert decisions()[1:] == Decisions("")[1:]
    assert not has_onednn_on_avx512()
    assert not multiplies_bf16()
    assert not multiplies_fp16()


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="the variables name x86's instructions")
@pytest.mark.parametrize(("capability", "isa"), [("avx2", "AVX2"), ("default", "SSE41")])
def test_variables_of_the_environment_take_instructions_away(capability: str, isa: str) -> None:
    """Whatever this machine has, a process can be held to less: torch's variable and oneDNN's."""
    code = "from pytest_embedbench.machine import cpu; print(cpu.describe_cpu_paths(), cpu.fast_dtypes('cpu'), sep='|')"
    held = {**os.environ, "ATEN_CPU_CAPABILITY": capability, "ONEDNN_MAX_CPU_ISA": isa}
    done = subprocess.run([sys.executable, "-c", code], env=held, capture_output=True, text=True, check=True)
    said = {"avx2": "AVX2 (no AVX-512, no AMX)", "default": f"{platform.machine()}, default instructions"}[capability]
    assert done.stdout.startswith(said)
    assert done.stdout.strip().endswith("|()")
