"""Steps in which every row has one token, replayed from CUDA graphs that were captured at load.

Such a step is some thousand launches of small kernels: the host takes longer to ask for them than
the device to run them. A graph asks for all at once, but for one batch size, with inputs and output
at fixed places. So there are some sizes, and a step is padded to the next (as vLLM does).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from worker.engine.sampling.device_copy import pinned
from worker.engine.transformers.batch.packing import Pack
from worker.engine.transformers.torch_forward.attention import KeyValuePool, StepInputs
from worker.engine.transformers.torch_forward.fused_step import (
    StepShape,
    fused_inputs,
    host_indices,
)

Compute = Callable[[], Tensor]
Capture = Callable[[Compute], Compute]
"""Takes a computation from fixed places, returns what does it again from what lies there then."""


def batch_sizes(most: int) -> list[int]:
    """The sizes that are captured for batches of up to `most` rows: at most half too large, from 8
    on a third."""
    powers = [1 << bits for bits in range(most.bit_length())]
    between = [power + power // 2 for power in powers if power >= 16]
    return sorted({*(size for size in powers + between if size < most), most})


class DecodeGraphs:
    """One captured forward pass for each batch size."""

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

        Raises whatever capturing raises: for one, if the network's forward waits for the device.
        """
        self._scratch_slot = pool.scratch_slot
        num_indices = StepShape.of_decodes(max_rows).num_indices + max_rows * max_blocks
        self._indices = torch.zeros(num_indices, dtype=torch.int32, device=pool.keys[0].device)
        self._replays: dict[int, Compute] = {}

        def compute(shape: StepShape) -> Tensor:
            return logits(fused_inputs(self._indices, shape, pool, block_size))

        # The largest first: the others find room in the memory that it took.
        for size in reversed(batch_sizes(max_rows)):
            shape = StepShape.of_decodes(size)
            self._place(_NOTHING, shape)
            self._replays[size] = capture(partial(compute, shape))

    def can_replay(self, packed: Pack) -> bool:
        """Whether the pack is what graphs were captured for."""
        num_rows = packed.num_decodes
        return num_rows == len(packed.rows) <= max(self._replays) and not packed.images

    def logits(self, packed: Pack) -> Tensor:
        """Return the logits of the sampled rows; the next call overwrites them."""
        size = min(size for size in self._replays if size >= packed.num_decodes)
        self._place(packed, StepShape.of_decodes(size))
        return self._replays[size]()[: len(packed.sampled_rows)]

    def _place(self, packed: Pack, shape: StepShape) -> None:
        indices = pinned(host_indices(packed, shape, self._scratch_slot), self._indices.device)
        self._indices[: len(indices)].copy_(indices, non_blocking=True)


class GraphCapture:
    """Captures CUDA graphs that share one pool of memory, since no two of them run at a time."""

    def __init__(self) -> None:
        self._memory = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def __call__(self, compute: Compute) -> Compute:
        """See `Capture`. Nothing is captured of a computation that waits for the device."""
        current = torch.cuda.current_stream()
        # Left this way, also halfway: a capture that fails does not give the stream back.
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
    """Let everything be compiled and set up that is on a first run, then run once more to see
    whether anything waits for the device: that raises here, where it does no harm."""
    compute()
    torch.cuda.set_sync_debug_mode("error")
    try:
        compute()
    finally:
        torch.cuda.set_sync_debug_mode("default")


_NOTHING = Pack(
    token_ids=[],
    positions=[],
    write_slots=[],
    rows=[],
    num_decodes=0,
    sampled_rows=[],
    images=[],
)
"""Padded to any size, what graphs are captured with: nothing is read, the scratch slot written."""
