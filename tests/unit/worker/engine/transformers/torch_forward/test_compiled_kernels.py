"""The kernels as compiled for GPUs: they compile, and they fit into shared memory."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton", reason="Triton has no wheels for this platform")

ROOT = Path(__file__).parents[6]
SHARED_BYTES = {80: 99 << 10, 90: 227 << 10}
"""Shared memory per program in bytes, by generation; of Ampere, the smallest (8.6)."""
STACK_BYTES = 16


@pytest.fixture(params=SHARED_BYTES, ids=["Ampere", "Hopper"])
def compiled(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[list[dict[str, Any]], int, int]:
    capability = request.param
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    command = [
        sys.executable,
        "-m",
        "tests.unit.worker.engine.transformers.torch_forward.compile_kernels",
        str(capability),
    ]
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    kernels = [json.loads(line) for line in run.stdout.splitlines()]
    return kernels, capability, SHARED_BYTES[capability]


@pytest.mark.nightly
def test_every_kernel_compiles_and_fits(
    compiled: tuple[list[dict[str, Any]], int, int],
) -> None:
    kernels, capability, most_shared = compiled

    assert len(kernels) > 20
    assert [kernel for kernel in kernels if kernel["shared_bytes"] > most_shared] == []
    assert [kernel for kernel in kernels if kernel["stack_bytes"] > STACK_BYTES] == []
    for kernel in kernels:
        if "bf16" in kernel["name"]:
            is_hopper_prefill = capability == 90 and kernel["name"].startswith("prefill")
            assert kernel["multiplies"] == ["wgmma" if is_hopper_prefill else "mma"], kernel["name"]
            assert kernel["reads_ahead"], kernel["name"]
