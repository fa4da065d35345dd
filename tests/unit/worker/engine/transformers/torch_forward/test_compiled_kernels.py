"""The kernels as a GPU would get them: that they compile, and that they fit."""

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
"""What a program may have, by generation; of Ampere's, the GPUs that give it least (8.6)."""
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


def test_every_kernel_compiles_and_fits(
    compiled: tuple[list[dict[str, Any]], int, int],
) -> None:
    kernels, capability, most_shared = compiled

    assert len(kernels) > 20
    assert [each for each in kernels if each["shared_bytes"] > most_shared] == []
    assert [each for each in kernels if each["stack_bytes"] > STACK_BYTES] == []
    for each in kernels:
        if "bf16" in each["name"]:
            is_hopper_prefill = capability == 90 and each["name"].startswith("prefill")
            assert each["multiplies"] == ["wgmma" if is_hopper_prefill else "mma"], each["name"]
            assert each["reads_ahead"], each["name"]
