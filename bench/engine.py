"""Benchmark of the engine alone, in this process: `python -m bench.engine`.

Compares it with the bound set by memory bandwidth (`bench.engines.bound`) and with the continuous
batching of transformers (`bench.engines.batching`). Speeds are per second of this process's CPU
time on a CPU, and per second of wall-clock time on a GPU.
"""

import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from llguidance import LLMatcher

from bench.engines.batches import Bench, Run
from bench.engines.batching import TransformersBatching
from bench.engines.bound import Bound
from bench.engines.figures import (
    FREE,
    MANY,
    SAMPLED,
    bound_measures,
    peer_measures,
    speed_measures,
)
from bench.engines.shapes import SHAPES, save_shape
from bench.report import RESULTS, Circumstances, Measure, publish
from bench.server import BenchError
from models.grammars.tokenizer import grammar_tokenizer
from worker.engine.cpu_cores import num_cores
from worker.engine.interface import EngineConfig

_COUNTS = {"cpu": (1, MANY), "cuda": (1, MANY, 256)}
# On a GPU, long enough that all 256 sequences decode together for a while.
_NUM_TOKENS = {"cpu": 64, "cuda": 256}
# For both engines: the default of ours.
NUM_THREADS = num_cores()
_WEIGHTS = Path(".antiphon/weights/SmolLM2-135M-Instruct")
# Answers that do not end early; almost any token is allowed, but each is masked by the grammar.
_REGEX = "[a-zA-Z ,.]{1000}"
_SCHEMA = '{"type": "array", "items": {"type": "string"}, "minItems": 1000}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Model, device and number of rounds of one benchmark run."""

    folder: Path
    device: str
    dtype: str
    has_random_weights: bool
    num_tokens: int
    rounds: int

    @property
    def counts(self) -> tuple[int, ...]:
        """Batch sizes to measure, in sequences."""
        return _COUNTS[self.device]

    def load(self, dtype: str = "") -> Bench:
        """Load our engine; on a GPU its KV cache takes nine tenths of the free memory."""
        if self.device == "cuda":
            torch.cuda.empty_cache()  # else memory freed by other models stays reserved
        types: Any = {"device": self.device, "dtype": dtype or self.dtype}
        return Bench(
            EngineConfig(
                folder=self.folder,
                kv_cache_bytes=1 << 30,
                max_sequences=max(self.counts),
                has_random_weights=self.has_random_weights,
                num_threads=NUM_THREADS,
                make_grammar_tokenizer=grammar_tokenizer,
                **types,
            )
        )

    def load_peer(self) -> TransformersBatching:
        """Load the same model into the continuous batching of transformers."""
        return TransformersBatching(
            self.folder,
            self.device,
            self.dtype,
            has_random_weights=self.has_random_weights,
            largest=(max(self.counts), self.num_tokens),
        )


def main(  # noqa: PLR0913 - the options of a command line
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    fewer_bits: Annotated[str, typer.Option(help="Also measure int8 or int4 beside it.")] = "",
    weights: Annotated[Path, typer.Option(help="A folder of weights.")] = _WEIGHTS,
    random_weights: Annotated[str, typer.Option(help=f"Instead: {', '.join(SHAPES)}.")] = "",
    only: Annotated[str, typer.Option(help="Beside 32 greedy only the kinds with this word.")] = "",
    num_tokens: Annotated[
        int | None, typer.Option(min=2, help="Of each answer; if not given, 64, or 256 on a GPU.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure tokens/s at 1, 32 and, on a GPU, 256: greedy, sampled and under a grammar."""
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.engine", *sys.argv[1:]]))
    torch.set_num_threads(NUM_THREADS)
    with tempfile.TemporaryDirectory() as temporary:
        if random_weights:
            save_shape(random_weights, Path(temporary))
        setting = Setting(
            folder=Path(temporary) if random_weights else weights,
            device=device,
            dtype=dtype,
            has_random_weights=bool(random_weights),
            num_tokens=num_tokens or _NUM_TOKENS[device],
            rounds=rounds,
        )
        measures = _measures(setting, {} if random_weights else _grammars(), only)
        if fewer_bits:
            measures += _fewer_bits_measures(setting, fewer_bits)
    name = random_weights or weights.name
    publish(f"Engine: {name} on {device}, {dtype}", circumstances, measures, results)


def _grammars() -> dict[str, str]:
    return {
        f"{MANY} under a grammar": LLMatcher.grammar_from_json_schema(_SCHEMA),
        f"{MANY} under a counted regex": LLMatcher.grammar_from_regex(_REGEX),
    }


def _measures(setting: Setting, grammars: Mapping[str, str], only: str) -> list[Measure]:
    bound = Bound.of(setting.folder, setting.device, setting.dtype)
    peer = setting.load_peer()  # before ours, whose KV cache takes most of the free memory
    bench = setting.load()
    kinds = _kinds(bench, setting, grammars)
    kinds = {name: run for name, run in kinds.items() if only in name or name == FREE}
    for warming_up in (None, *grammars.values()):
        bench.run(2, setting.num_tokens, warming_up)
    peer.run(bench.prompts, setting.num_tokens)
    found: list[dict[str, Run]] = []
    theirs: dict[str, list[float]] = {name: [] for name in kinds if name.endswith("greedy")}
    for _ in range(setting.rounds):
        found.append({})
        for name, run in kinds.items():
            found[-1][name] = run()
            if name in theirs:
                theirs[name].append(peer.run(bench.prompts, setting.num_tokens))
                if not found[-1][name].full_steps.num_steps:
                    raise BenchError(f"{name}: in no step do all decode; give more --num-tokens")
    bench.close()
    peer.close()
    is_gpu = setting.device == "cuda"
    measures = speed_measures(found, grammars, is_gpu=is_gpu)
    for name, peer_speeds in theirs.items():
        measures += bound_measures(name, found, bound, is_gpu=is_gpu)
        measures += peer_measures(name, found, peer_speeds, peer.attention)
    return measures


def _kinds(
    bench: Bench, setting: Setting, grammars: Mapping[str, str]
) -> dict[str, Callable[[], Run]]:
    num_tokens = setting.num_tokens
    sampled: Any = {"temperature": 0.8, "top_p": 0.95}
    return {
        **{f"{count} greedy": partial(bench.run, count, num_tokens) for count in setting.counts},
        SAMPLED: partial(bench.run, MANY, num_tokens, **sampled),
        **{name: partial(bench.run, MANY, num_tokens, text) for name, text in grammars.items()},
    }


def _fewer_bits_measures(setting: Setting, dtype: str) -> list[Measure]:
    """Measure both data types in turn, so that a slow period of the machine affects both alike."""
    full, small = setting.load(), setting.load(dtype)
    measures: list[Measure] = []
    for count in (1, 8, MANY):
        pairs = [
            (full.run(count, setting.num_tokens), small.run(count, setting.num_tokens))
            for _ in range(setting.rounds + 1)
        ][1:]  # the first warms up
        speeds_of_small = [run_small.tokens_per_s for _, run_small in pairs]
        ratios = [run_small.tokens_per_s / run_full.tokens_per_s for run_full, run_small in pairs]
        measures += [
            Measure(name=f"{count} greedy in {dtype}: tokens/s", rounds=speeds_of_small),
            Measure(name=f"{count} greedy: {dtype} over {setting.dtype}", rounds=ratios),
        ]
    full.close()
    small.close()
    return measures


if __name__ == "__main__":
    typer.run(main)
