"""Benchmark of the cost of sampling in a step of the engine: `python -m bench.sampling`.

Runs the engine alone, in this process, on the default weights. In every step in which all sequences
get a token, the CPU time of the forward pass is compared with that of the rest of the same step, so
that other load on the machine slows both alike.
"""

import random
import shlex
import statistics
import sys
import time
from itertools import count
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import typer
from torch import Tensor
from transformers import AutoTokenizer

from bench.client.bodies import story_prompt
from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from models.settings import DEFAULT_MODEL
from worker.engine.interface import Delta, EngineConfig, GenerationRequest
from worker.engine.params import SamplingParams
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.engine import TransformersEngine

NUM_ROWS = 32
TIMEOUT_S = 300.0

GREEDY = "greedy"
KINDS: dict[str, dict[str, Any]] = {
    GREEDY: {"temperature": 0},
    "temperature 0.8, top-p 0.95": {"temperature": 0.8, "top_p": 0.95},
    "temperature 2, top-p 0.95": {"temperature": 2.0, "top_p": 0.95},
    "temperature 0.8, top-k 500": {"temperature": 0.8, "top_k": 500},
    "greedy, 20 top logprobs": {"temperature": 0, "num_top_logprobs": 20},
}
GOALS = {"temperature 0.8, top-p 0.95": Goal(at_least=0.9)}


class Recorder:
    """Recorder of the CPU time of the engine's thread in every step."""

    def __init__(self) -> None:
        self.is_over = Event()
        self._num_left = 0
        self._began_s = 0.0
        self._forward_s = 0.0
        self._shares: list[float] = []
        self._steps_s: list[float] = []

    def begin(self) -> None:
        """Clear the records before `NUM_ROWS` sequences are submitted."""
        self._num_left, self._shares, self._steps_s = NUM_ROWS, [], []
        self.is_over.clear()

    def watch(self, engine: TransformersEngine) -> None:
        """Time the forward passes of `engine` from now on."""
        forward = engine._runner.forward

        def timed(batch: list[Chunk]) -> Tensor:
            began_s = time.thread_time()
            logits = forward(batch)
            self._forward_s = time.thread_time() - began_s
            return logits

        engine._runner.forward = timed  # type: ignore[method-assign]

    def on_step(self, deltas: list[Delta]) -> None:
        """Record one step; the engine calls this on its own thread."""
        now_s = time.thread_time()
        step_s = now_s - self._began_s
        if len(deltas) == NUM_ROWS:
            self._steps_s.append(step_s)
            self._shares.append(1 - self._forward_s / step_s)
        self._num_left -= sum(delta.finish_reason is not None for delta in deltas)
        if self._num_left == 0:
            self.is_over.set()
        self._began_s = time.thread_time()

    def step_ms(self) -> float:
        """Return the median CPU ms of steps with all rows, without the first, which had prefill."""
        return statistics.median(self._steps_s[1:]) * 1000

    def share(self) -> float:
        """Return the median share of those steps outside the forward pass, 0 to 1."""
        return statistics.median(self._shares[1:])


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    num_tokens: Annotated[int, typer.Option(min=3, help="Of each row.")] = 24,
    weights: Annotated[Path, typer.Option(help="Converted weights.")] = Path(
        f".antiphon/weights/{DEFAULT_MODEL}"
    ),
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure a step of 32 rows, greedy and sampled in turn."""
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.sampling", *sys.argv[1:]]))
    recorder = Recorder()
    # With one thread, its CPU time is that of the whole step.
    config = EngineConfig(
        folder=weights, kv_cache_bytes=2**30, max_sequences=NUM_ROWS, num_threads=1
    )
    engine = TransformersEngine(config, recorder.on_step)
    recorder.watch(engine)
    engine.start()
    tokenizer: Any = AutoTokenizer.from_pretrained(weights, local_files_only=True)
    prompts = [tokenizer.encode(story_prompt(seed)) for seed in range(NUM_ROWS)]
    ids = count()
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    try:
        for _ in range(rounds):
            for kind in random.sample(list(KINDS), len(KINDS)):
                params = {"max_tokens": num_tokens, "ignore_eos": True, **KINDS[kind]}
                found[kind].append(_run(engine, recorder, prompts, params, ids))
    finally:
        engine.stop()
    publish(f"Sampling: a step of {NUM_ROWS} rows", circumstances, _measures(found), results)


def _run(
    engine: TransformersEngine,
    recorder: Recorder,
    prompts: list[list[int]],
    params: dict[str, Any],
    ids: "count[int]",
) -> tuple[float, float]:
    """Return the CPU ms of a step, and its share outside the forward pass."""
    recorder.begin()
    for prompt in prompts:
        number = next(ids)
        engine.submit(
            GenerationRequest(
                sequence_id=str(number),
                prompt=prompt,
                params=SamplingParams(seed=number, **params),
            )
        )
    if not recorder.is_over.wait(TIMEOUT_S):
        raise TimeoutError("the engine did not finish")
    return recorder.step_ms(), recorder.share()


def _measures(found: dict[str, list[tuple[float, float]]]) -> list[Measure]:
    steps = [
        Measure(name=f"{kind}: CPU ms of a step", rounds=[step_ms for step_ms, _ in rounds])
        for kind, rounds in found.items()
    ]
    outside = [
        Measure(
            name=f"{kind}: % of a step outside the forward pass",
            rounds=[share * 100 for _, share in rounds],
        )
        for kind, rounds in found.items()
    ]
    # All kinds have the same forward pass, so the ratio of its shares is that of the speeds.
    greedy = [1 - share for _, share in found[GREEDY]]
    speeds = [
        Measure(
            name=f"{kind}: speed over greedy",
            rounds=[
                (1 - share) / of_greedy
                for (_, share), of_greedy in zip(rounds, greedy, strict=True)
            ],
            goal=GOALS.get(kind),
        )
        for kind, rounds in found.items()
        if kind != GREEDY
    ]
    return [*steps, *outside, *speeds]


if __name__ == "__main__":
    typer.run(main)
