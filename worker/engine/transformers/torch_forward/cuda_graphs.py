"""CUDA graphs, captured at load, for steps in which every row has one token.

Such a step launches about a thousand small kernels: launching them takes the host longer than
running them takes the device. A graph launches all of them at once, but only for one batch size,
with inputs and output at fixed addresses. So graphs are captured for several sizes, and a step is
padded to the next larger one (as vLLM does).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from worker.engine.sampling.device_copy import pin
from worker.engine.transformers.batch.packing import Pack
from worker.engine.transformers.torch_forward.attention import KeyValuePool, StepInputs
from worker.engine.transformers.torch_forward.fused_step import (
    StepShape,
    fused_inputs,
    host_indices,
)

Compute = Callable[[], Tensor]
Capture = Callable[[Compute], Compute]
"""Function that captures a computation on tensors at fixed addresses, and returns a function that
repeats it on their current contents."""


def batch_sizes(max_rows: int) -> list[int]:
    """Return the sizes captured for batches of up to `max_rows` rows, ascending.

    Less than half of a padded batch is padding, and less than a third above 16 rows.
    """
    powers = [1 << bits for bits in range(max_rows.bit_length())]
    between = [power + power // 2 for power in powers if power >= 16]
    return sorted({*(size for size in powers + between if size < max_rows), max_rows})


class DecodeGraphs:
    """Captured forward passes, one for each batch size."""

    def __init__(
        self,
        logits: Callable[[StepInputs], Tensor],
        pool: KeyValuePool,
        block_size: int,
        *,
        max_rows: int,
        max_blocks: int,
        capture: Capture,
    ) -> None:
        """Capture `logits` for up to `max_rows` rows of up to `max_blocks` blocks each.

        Raises any error of the capture, for example if the network's forward waits for the device.
        """
        self._scratch_slot = pool.scratch_slot
        num_indices = StepShape.of_decodes(max_rows).num_indices + max_rows * max_blocks
        self._indices = torch.zeros(num_indices, dtype=torch.int32, device=pool.keys[0].device)
        self._replays: dict[int, Compute] = {}

        def compute(shape: StepShape) -> Tensor:
            return logits(fused_inputs(self._indices, shape, pool, block_size))

        # The largest first, so that the smaller ones reuse its memory.
        for size in reversed(batch_sizes(max_rows)):
            shape = StepShape.of_decodes(size)
            self._copy_indices(_EMPTY_PACK, shape)
            self._replays[size] = capture(partial(compute, shape))

    def can_replay(self, packed: Pack) -> bool:
        """Return True if a graph covers the pack: rows of one token, not too many, no images."""
        num_rows = packed.num_decodes
        has_images = bool(packed.images or packed.grid)
        return num_rows == len(packed.rows) <= max(self._replays) and not has_images

    def logits(self, packed: Pack) -> Tensor:
        """Return the logits of the sampled rows; the next call overwrites them."""
        size = min(size for size in self._replays if size >= packed.num_decodes)
        self._copy_indices(packed, StepShape.of_decodes(size))
        return self._replays[size]()[: len(packed.sampled_rows)]

    def _copy_indices(self, packed: Pack, shape: StepShape) -> None:
        indices = pin(host_indices(packed, shape, self._scratch_slot), self._indices.device)
        self._indices[: len(indices)].copy_(indices, non_blocking=True)


class GraphCapture:
    """Capture of CUDA graphs that share one memory pool, as no two of them run at the same time."""

    def __init__(self) -> None:
        self._memory = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def __call__(self, compute: Compute) -> Compute:
        """Capture a computation; see `Capture`.

        Raises, before it captures anything, if the computation waits for the device.
        """
        current = torch.cuda.current_stream()
        # Restores the current stream on exit, as a capture that fails does not.
        with torch.cuda.stream(current):
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                _warm_up(compute)
            current.wait_stream(self._stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(
                graph, pool=self._memory, stream=self._stream, capture_error_mode="thread_local"
            ):
                output = compute()

        def replay() -> Tensor:
            graph.replay()
            return output

        return replay


def _warm_up(compute: Compute) -> None:
    """Run a computation twice before its capture.

    The first run compiles and initializes lazily created state. The second one raises if anything
    waits for the device, which here, outside the capture, does no harm.
    """
    compute()
    torch.cuda.set_sync_debug_mode("error")
    try:
        compute()
    finally:
        torch.cuda.set_sync_debug_mode("default")


_EMPTY_PACK = Pack(
    token_ids=[],
    positions=[],
    write_slots=[],
    rows=[],
    num_decodes=0,
    sampled_rows=[],
    images=[],
    grid=[],
)
"""Pack that graphs are captured with, padded to any size: it reads no keys, and writes to the
scratch slot."""
