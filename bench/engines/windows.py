"""Benchmark of decode steps through layers with sliding windows: `python -m bench.engines.windows`.

Two networks that differ only in the window compute one token of each sequence, in turn. The one
with a window has long sequences, the other one sequences as long as the window, so both attend to
as many keys. A third run, of long sequences without a window, shows what the window saves.
"""

import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from transformers import MistralConfig

from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from worker.engine.cpu_cores import num_cores
from worker.engine.interface import EngineConfig, GenerationRequest
from worker.engine.params import SamplingParams
from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.batch.packing import Pack, pack
from worker.engine.transformers.forward import Forward
from worker.engine.transformers.model_runner import load_forward

_WINDOW = 512
_CHUNK_TOKENS = 512
_NUM_STEPS = 10
"""Steps of a round, of which the fastest counts."""
_CACHE_BYTES = 1 << 30
_GOAL = Goal(at_most=1.1)
# Few weights beside many heads, so that attention takes a large part of a step.
_SHAPE: dict[str, Any] = {
    **{"vocab_size": 1024, "hidden_size": 512, "intermediate_size": 512, "num_hidden_layers": 8},
    **{"num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 64},
    "max_position_embeddings": 1 << 15,
}


class Steps:
    """A network with sequences whose next token it computes again and again."""

    def __init__(self, forward: str, window: int | None, num_rows: int, num_tokens: int) -> None:
        """Load a random network, and compute all but the last token of every sequence."""
        self._forward = _load(forward, window)
        pool = BlockPool(self._forward.num_blocks, self._forward.block_size)
        sequences = [_make_sequence(number, num_tokens) for number in range(num_rows)]
        for sequence in sequences:
            assert pool.grow(sequence, num_tokens)
            while (left := sequence.num_pending - 1) > 0:
                size = min(left, _CHUNK_TOKENS)
                self._forward(pack([Chunk(sequence, size)], self._forward.block_size))
                sequence.num_computed += size
        self._chunks = [Chunk(sequence, 1) for sequence in sequences]

    def milliseconds(self) -> float:
        """Return the CPU time of the fastest of several steps."""
        return min(self._time_step() for _ in range(_NUM_STEPS)) * 1000

    def _time_step(self) -> float:
        began = time.process_time()
        self._forward(self._pack())
        return time.process_time() - began

    def _pack(self) -> Pack:
        return pack(self._chunks, self._forward.block_size)


def _load(forward: str, window: int | None) -> Forward:
    with tempfile.TemporaryDirectory() as temporary:
        MistralConfig(**_SHAPE, sliding_window=window).save_pretrained(temporary)
        settings: Any = {"dtype": "float32", "forward": forward, "device": "cpu"}
        config = EngineConfig(
            folder=Path(temporary),
            kv_cache_bytes=_CACHE_BYTES,
            max_sequences=32,
            has_random_weights=True,
            num_threads=num_cores(),
            **settings,
        )
        return load_forward(config)


def _make_sequence(number: int, num_tokens: int) -> Sequence:
    prompt = [(number * 31 + index * 17) % _SHAPE["vocab_size"] for index in range(num_tokens)]
    params = SamplingParams(max_tokens=1)
    return Sequence(GenerationRequest(sequence_id=str(number), prompt=prompt, params=params))


def main(
    num_rows: Annotated[int, typer.Option(min=1, help="Sequences of a step.")] = 8,
    num_tokens: Annotated[int, typer.Option(min=_WINDOW, help="Of the long sequences.")] = 4096,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Time steps with and without a window, in both forward passes."""
    command = shlex.join(["python", "-m", "bench.engines.windows", *sys.argv[1:]])
    circumstances = Circumstances.now(command)
    torch.set_num_threads(num_cores())
    measures = []
    for forward in ("torch", "openvino"):
        measures += _measures(forward, num_rows, num_tokens, rounds)
    title = f"Windows: decode steps of {num_rows} sequences, window of {_WINDOW} tokens"
    publish(title, circumstances, measures, results)


@torch.inference_mode()
def _measures(forward: str, num_rows: int, num_tokens: int, rounds: int) -> list[Measure]:
    kinds = {
        f"window, {num_tokens} tokens": Steps(forward, _WINDOW, num_rows, num_tokens),
        f"no window, {_WINDOW} tokens": Steps(forward, None, num_rows, _WINDOW),
        f"no window, {num_tokens} tokens": Steps(forward, None, num_rows, num_tokens),
    }
    found = [[steps.milliseconds() for steps in kinds.values()] for _ in range(rounds)]
    measures = [
        Measure(name=f"{forward}, {name}: ms", rounds=[times[index] for times in found])
        for index, name in enumerate(kinds)
    ]
    ratios = [windowed / as_many for windowed, as_many, _ in found]
    name = f"{forward}: window over as many keys without one"
    return [*measures, Measure(name=name, rounds=ratios, goal=_GOAL)]


if __name__ == "__main__":
    typer.run(main)
