"""What sampling adds to a step of the engine: `python -m bench.sampling`.

The engine alone, in this process, on the default weights. A figure is the median over the steps in
which all rows got a token, in CPU time of this process: what else runs on the machine counts less.
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
from transformers import AutoTokenizer

from bench.bodies import story_prompt
from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from models.settings import DEFAULT_MODEL
from worker.engine import Delta, EngineConfig, GenerationRequest, SamplingParams, TransformersEngine

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
    """The CPU time of every step, and when all rows have ended."""

    def __init__(self) -> None:
        self.is_over = Event()
        self._num_left = 0
        self._began_s = 0.0
        self._steps_s: list[float] = []

    def begin(self) -> None:
        """Forget what was; `NUM_ROWS` rows are about to come."""
        self._num_left, self._steps_s = NUM_ROWS, []
        self._began_s = time.process_time()
        self.is_over.clear()

    def on_step(self, deltas: list[Delta]) -> None:
        """The engine's listener."""
        now = time.process_time()
        if len(deltas) == NUM_ROWS:
            self._steps_s.append(now - self._began_s)
        self._began_s = now
        self._num_left -= sum(delta.finish_reason is not None for delta in deltas)
        if self._num_left == 0:
            self.is_over.set()

    def step_ms(self) -> float:
        """The median of the steps with all rows, but the first: it had prompts in it."""
        return statistics.median(self._steps_s[1:]) * 1000


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    num_tokens: Annotated[int, typer.Option(min=3, help="Of each row.")] = 24,
    weights: Annotated[Path, typer.Option(help="Converted weights.")] = Path(
        f".antiphon/weights/{DEFAULT_MODEL}"
    ),
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure a step of 32 rows, greedy and sampled in turn."""
    where = Circumstances.now(shlex.join(["python", "-m", "bench.sampling", *sys.argv[1:]]))
    recorder = Recorder()
    config = EngineConfig(folder=weights, kv_cache_bytes=2**30, max_sequences=NUM_ROWS)
    engine = TransformersEngine(config, recorder.on_step)
    engine.start()
    tokenizer: Any = AutoTokenizer.from_pretrained(weights, local_files_only=True)
    prompts = [tokenizer.encode(story_prompt(seed)) for seed in range(NUM_ROWS)]
    ids = count()
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    try:
        for _ in range(rounds):
            for kind in random.sample(list(KINDS), len(KINDS)):
                params = {"max_tokens": num_tokens, "ignore_eos": True, **KINDS[kind]}
                found[kind].append(_step_ms(engine, recorder, prompts, params, ids))
    finally:
        engine.stop()
    publish(f"Sampling: a step of {NUM_ROWS} rows", where, _measures(found), results)


def _step_ms(
    engine: TransformersEngine,
    recorder: Recorder,
    prompts: list[list[int]],
    params: dict[str, Any],
    ids: "count[int]",
) -> float:
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
    return recorder.step_ms()


def _measures(found: dict[str, list[float]]) -> list[Measure]:
    steps = [Measure(name=f"{kind}: CPU ms", rounds=each) for kind, each in found.items()]
    shares = [
        Measure(
            name=f"{kind}: speed over greedy",
            rounds=[greedy / own for greedy, own in zip(found[GREEDY], each, strict=True)],
            goal=GOALS.get(kind),
        )
        for kind, each in found.items()
        if kind != GREEDY
    ]
    return [*steps, *shares]


if __name__ == "__main__":
    typer.run(main)
