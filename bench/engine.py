"""The engine alone, in this process: `python -m bench.engine`.

Figures are per second of this process's CPU where tensors are computed on it, because others may
share the cores, and per second of time on a GPU. Every prompt is another, so that none is cached.
"""

import random
import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from llguidance import LLMatcher
from transformers import LlamaConfig

from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from worker.engine import (
    Delta,
    EngineConfig,
    GenerationRequest,
    SamplingParams,
    TransformersEngine,
)

PROMPT_TOKENS = 128
MANY = 32
DEADLINE_S = 600.0
_WEIGHTS = Path(".antiphon/weights/SmolLM2-135M-Instruct")
# An answer that never ends, most of it as free as strings are, yet masked at every token.
_REGEX = "[a-zA-Z ,.]{1000}"
_SCHEMA = '{"type": "array", "items": {"type": "string"}, "minItems": 1000}'
_SHAPES: dict[str, dict[str, Any]] = {
    "smollm2-135m": {
        **{"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30},
        **{"num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152},
    },
    "llama-1b": {
        **{"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16},
        **{"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256},
    },
    "llama-8b": {
        **{"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32},
        **{"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256},
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one batch took."""

    num_tokens: int
    seconds: float
    """Of CPU, or of time on a GPU."""
    outside_share: float
    """Of the engine thread's CPU once every prompt is computed: what is not the forward pass."""

    @property
    def tokens_per_s(self) -> float:
        """Tokens that were generated, a second."""
        return self.num_tokens / self.seconds


class Bench:
    """One loaded engine, given batch after batch."""

    def __init__(self, config: EngineConfig) -> None:
        self._left: set[str] = set()
        self._num_tokens = 0
        self._forward_s = self._decode_began_s = self._decode_ended_s = 0.0
        self._done = threading.Event()
        self._is_gpu = config.device == "cuda"
        self._engine: Any = TransformersEngine(config, self._on_step)
        runner: Any = getattr(self._engine, "_runner")  # noqa: B009 - to time its insides
        self._forward, runner.forward = runner.forward, self._timed_forward
        self._vocab_size: int = runner.vocab_size
        self._numbers = random.Random(0)
        self._engine.start()

    def close(self) -> None:
        """Stop the engine."""
        self._engine.stop()

    def run(self, count: int, num_tokens: int, grammar: str | None = None, **asked: Any) -> Run:
        """Generate `num_tokens` for each of `count` prompts that all come at once."""
        self._left = {str(number) for number in range(count)}
        self._num_tokens = 0
        self._forward_s = self._decode_began_s = 0.0
        self._done.clear()
        clock = time.monotonic if self._is_gpu else time.process_time
        began = clock()
        for name in sorted(self._left):
            self._engine.submit(self._request(name, num_tokens, grammar, asked))
        if not self._done.wait(DEADLINE_S):
            raise TimeoutError(f"{len(self._left)} of {count} sequences have not ended")
        decode_s = self._decode_ended_s - self._decode_began_s
        return Run(
            num_tokens=self._num_tokens,
            seconds=clock() - began,
            outside_share=1 - self._forward_s / decode_s,
        )

    def _request(
        self, name: str, num_tokens: int, grammar: str | None, asked: dict[str, Any]
    ) -> GenerationRequest:
        prompt = [self._numbers.randrange(self._vocab_size) for _ in range(PROMPT_TOKENS)]
        settings = {"temperature": 0.0, "ignore_eos": True, **asked}
        params = SamplingParams(max_tokens=num_tokens, seed=int(name), **settings)
        return GenerationRequest(sequence_id=name, prompt=prompt, params=params, grammar=grammar)

    def _timed_forward(self, batch: list[Any]) -> Any:
        if all(chunk.num_tokens == 1 for chunk in batch) and not self._decode_began_s:
            self._decode_began_s = time.thread_time()
        began = time.thread_time()
        logits = self._forward(batch)
        if self._decode_began_s:
            self._forward_s += time.thread_time() - began
        return logits

    def _on_step(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            self._num_tokens += delta.token_id is not None
            if delta.finish_reason is not None:
                self._left.discard(delta.sequence_id)
        if not self._left:
            self._decode_ended_s = time.thread_time()
            self._done.set()


def main(  # noqa: PLR0913 - the options of a command line
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    quantization: Annotated[str, typer.Option(help="Also measure int8 beside it.")] = "none",
    weights: Annotated[Path, typer.Option(help="A folder of weights.")] = _WEIGHTS,
    random_weights: Annotated[str, typer.Option(help=f"Instead: {', '.join(_SHAPES)}.")] = "",
    only: Annotated[str, typer.Option(help="Beside 32 greedy only the kinds with this word.")] = "",
    num_tokens: Annotated[int, typer.Option(min=2, help="Of each answer.")] = 64,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure tokens/s of the engine at 1 and 32, greedy, sampled and under a grammar."""
    where = Circumstances.now(shlex.join(["python", "-m", "bench.engine", *sys.argv[1:]]))
    with tempfile.TemporaryDirectory() as folder:
        if random_weights:
            LlamaConfig(**_SHAPES[random_weights]).save_pretrained(folder)

        def load(kept_in: str) -> Bench:
            engine: Any = {"device": device, "dtype": dtype, "quantization": kept_in}
            return Bench(
                EngineConfig(
                    folder=Path(folder) if random_weights else weights,
                    kv_cache_bytes=1 << 30,
                    max_sequences=MANY,
                    has_random_weights=bool(random_weights),
                    **engine,
                )
            )

        grammars = {
            "under a grammar": LLMatcher.grammar_from_json_schema(_SCHEMA),
            "under a counted regex": LLMatcher.grammar_from_regex(_REGEX),
        }
        measures = _measures(load, rounds, num_tokens, {} if random_weights else grammars, only)
        if quantization == "int8":
            measures += _int8_measures(load, rounds, num_tokens)
    name = random_weights or weights.name
    publish(f"Engine: {name} on {device}, {dtype}", where, measures, results)


def _measures(
    load: Callable[[Literal["none", "int8"]], Bench],
    rounds: int,
    num_tokens: int,
    grammars: dict[str, str],
    only: str,
) -> list[Measure]:
    bench = load("none")
    kinds: dict[str, Callable[[], Run]] = {
        "1 greedy": lambda: bench.run(1, num_tokens),
        "32 greedy": lambda: bench.run(MANY, num_tokens),
        "32 sampled at 0.8 / 0.95": lambda: bench.run(
            MANY, num_tokens, temperature=0.8, top_p=0.95
        ),
    }
    for name, grammar in grammars.items():
        kinds[f"32 {name}"] = partial(bench.run, MANY, num_tokens, grammar)
    kinds = {name: run for name, run in kinds.items() if only in name or name == "32 greedy"}
    for warming_up in (None, *grammars.values()):
        bench.run(2, num_tokens, warming_up)
    found = [{name: run() for name, run in kinds.items()} for _ in range(rounds)]
    bench.close()
    free = [each["32 greedy"] for each in found]
    measures = [
        Measure(name=f"{name}: tokens/s", rounds=[each[name].tokens_per_s for each in found])
        for name in kinds
    ]
    least_of = {"32 sampled at 0.8 / 0.95": 0.9} | {f"32 {name}": 0.95 for name in grammars}
    for name, least in least_of.items():
        if name in kinds:
            pairs = zip(found, free, strict=True)
            ratios = [each[name].tokens_per_s / base.tokens_per_s for each, base in pairs]
            goal = Goal(at_least=least)
            measures.append(Measure(name=f"{name} over 32 greedy", rounds=ratios, goal=goal))
    shares = [each.outside_share * 100 for each in free]
    goal = Goal(at_most=5)
    return [*measures, Measure(name="32 greedy: outside the forward, %", rounds=shares, goal=goal)]


def _int8_measures(
    load: Callable[[Literal["none", "int8"]], Bench], rounds: int, num_tokens: int
) -> list[Measure]:
    """Both kept in memory and taken in turn, so that a slow minute hits each alike."""
    full, int8 = load("none"), load("int8")
    for bench in (full, int8):
        bench.run(1, num_tokens)
    pairs = [(full.run(1, num_tokens), int8.run(1, num_tokens)) for _ in range(rounds)]
    many = [(full.run(MANY, num_tokens), int8.run(MANY, num_tokens)) for _ in range(rounds)]
    full.close()
    int8.close()
    ratios = [small.tokens_per_s / big.tokens_per_s for big, small in pairs]
    return [
        Measure(name="1 greedy in int8: tokens/s", rounds=[each.tokens_per_s for _, each in pairs]),
        Measure(name="1 greedy: int8 over full", rounds=ratios, goal=Goal(at_least=1.6)),
        Measure(
            name="32 greedy: int8 over full",
            rounds=[small.tokens_per_s / big.tokens_per_s for big, small in many],
        ),
    ]


if __name__ == "__main__":
    typer.run(main)
