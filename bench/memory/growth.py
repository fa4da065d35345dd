"""Memory that the layers of a network take in a process, beside the estimate of it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.engine.interface import EngineConfig
from worker.engine.transformers.model.preview.estimate import expected_bytes
from worker.engine.transformers.model.quantized.footprint import footprint

MAX_ERROR = 0.1
"""Largest difference of what is measured from what is expected, as a fraction of the latter."""
_ONE_ARENA = {"MALLOC_ARENA_MAX": "1"}
"""Of others, glibc's `malloc_trim` leaves the free memory at the end: up to 64 MiB each."""
NUM_SMALL = 2
"""Layers of a small network: OpenVINO has buffers of activations for two, which all share."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Bytes by which a process grows with networks that differ in the number of their layers.

    Caches are included.
    """

    measured: tuple[int, int]
    """Bytes of the small network, and of the large one."""
    expected: tuple[int, int]

    @property
    def of_layers(self) -> tuple[int, int]:
        """Measured and expected bytes by which the large network exceeds the small one."""
        return self.measured[1] - self.measured[0], self.expected[1] - self.expected[0]

    @property
    def besides(self) -> int:
        """Bytes that the small network takes more than expected, such as for activations."""
        return self.measured[0] - self.expected[0]

    @property
    def ratio(self) -> float:
        """Measured over expected bytes of the layers."""
        measured, expected = self.of_layers
        return measured / expected

    @property
    def is_as_expected(self) -> bool:
        """True if the two differ by no more than `MAX_ERROR`."""
        return abs(self.ratio - 1) <= MAX_ERROR


def measure(small: Path, large: Path, forward: str, dtype: Any) -> Growth:
    """Load two networks that differ in the number of layers, in a process of its own.

    Raises `RuntimeError` if one is not loaded.
    """
    command = [sys.executable, "-m", "bench.memory.child", small, large, forward, dtype]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=os.environ | _ONE_ARENA
    )
    if done.returncode:
        raise RuntimeError(f"a network is not loaded in {forward}: {done.stderr[-1000:]}")
    small_bytes, small_cache, large_bytes, large_cache = map(int, done.stdout.split())
    expected = (
        _weights_bytes(small, forward, dtype) + small_cache,
        _weights_bytes(large, forward, dtype) + large_cache,
    )
    return Growth((small_bytes, large_bytes), expected)


def _weights_bytes(folder: Path, forward: str, dtype: Any) -> int:
    config = EngineConfig(folder=folder, kv_cache_bytes=0, max_sequences=1, dtype=dtype)
    return expected_bytes(footprint(folder), config, in_openvino=forward == "openvino")
