"""Benchmark of the accuracy lost to smaller data types: `python -m bench.loss`.

Runs this project's documentation through the model in windows of 256 tokens, and compares the
distribution of the next token at every position with that of float32.
"""

import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from tokenizers import Tokenizer
from torch import Tensor

from bench.report import RESULTS, Circumstances, Measure, publish
from worker.engine.interface import EngineConfig, GenerationRequest
from worker.engine.params import SamplingParams
from worker.engine.sequence import Sequence as Generation
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.batch.packing import pack
from worker.engine.transformers.forward import Forward
from worker.engine.transformers.model_runner import load_forward

_ROOT = Path(__file__).parents[1]
_WEIGHTS = Path(".antiphon/weights/SmolLM2-135M-Instruct")
_TEXTS = ("README.md", "docs/guarantees.md", "docs/operations.md", "docs/protocol.md")
_WINDOW = 256
_KINDS: dict[str, dict[str, Any]] = {
    "float32": {"dtype": "float32"},
    "bfloat16": {"dtype": "bfloat16"},
    "int8": {"dtype": "int8"},
    "int4": {"dtype": "int4"},
    "bfloat16, cache in int8": {"dtype": "bfloat16", "kv_cache_dtype": "int8"},
}


@dataclass(frozen=True, slots=True)
class Loss:
    """Accuracy of one data type, compared with float32."""

    perplexity: float
    divergence: float
    """Mean Kullback-Leibler divergence from float32, in nats."""
    agreement: float
    """Share of positions with the same likeliest token, 0 to 1."""


def main(
    weights: Annotated[Path, typer.Option(help="A folder of weights.")] = _WEIGHTS,
    num_tokens: Annotated[int, typer.Option(min=_WINDOW)] = 8192,
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure perplexity, divergence from float32 and agreement of every type."""
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.loss", *sys.argv[1:]]))
    tokens = _tokens(weights)[:num_tokens]
    windows = [tokens[start : start + _WINDOW] for start in range(0, len(tokens), _WINDOW)]
    exact: list[Tensor] = []
    measures: list[Measure] = []
    for name, kind in _KINDS.items():
        found = _log_probabilities(weights, windows, kind)
        exact = exact or found
        loss = _loss(windows, exact, found)
        measures += [
            Measure(name=f"{name}: perplexity", rounds=[loss.perplexity]),
            Measure(
                name=f"{name}: divergence from float32, millinats", rounds=[1000 * loss.divergence]
            ),
            Measure(name=f"{name}: same likeliest token, %", rounds=[100 * loss.agreement]),
        ]
    publish(
        f"Loss: {weights.name} on {len(tokens)} tokens of text", circumstances, measures, results
    )


def _tokens(weights: Path) -> list[int]:
    text = "\n".join((_ROOT / name).read_text() for name in _TEXTS)
    tokenizer: Any = Tokenizer.from_file(str(weights / "tokenizer.json"))
    return list(tokenizer.encode(text).ids)


def _log_probabilities(
    weights: Path, windows: Sequence[list[int]], kind: dict[str, Any]
) -> list[Tensor]:
    config = EngineConfig(
        folder=weights,
        kv_cache_bytes=1 << 28,
        max_sequences=1,
        graph_folder=weights.parent / ".openvino" / weights.name,
        **kind,
    )
    forward = load_forward(config)
    return [log_probabilities(forward, window) for window in windows]


@torch.inference_mode()
def log_probabilities(forward: Forward, tokens: list[int]) -> Tensor:
    """Return the log-probabilities of the next token after each of `tokens`, [tokens, vocab]."""
    params = SamplingParams(max_tokens=1)
    sequence = Generation(GenerationRequest(sequence_id="it", prompt=tokens, params=params))
    sequence.blocks = list(range(-(-len(tokens) // forward.block_size)))
    packed = pack([Chunk(sequence, len(tokens))], forward.block_size)
    logits = forward(replace(packed, sampled_rows=list(range(len(tokens)))))
    return logits.log_softmax(-1)


def _loss(windows: Sequence[list[int]], exact: list[Tensor], found: list[Tensor]) -> Loss:
    nats, divergences, agreements = [], [], []
    for window, reference, actual in zip(windows, exact, found, strict=True):
        following = torch.tensor(window[1:])[:, None]
        nats.append(-actual[:-1].gather(1, following))
        divergences.append((reference.exp() * (reference - actual)).sum(-1))
        agreements.append((reference.argmax(-1) == actual.argmax(-1)).float())
    return Loss(
        perplexity=math.exp(torch.cat(nats).mean()),
        divergence=float(torch.cat(divergences).mean()),
        agreement=float(torch.cat(agreements).mean()),
    )


if __name__ == "__main__":
    typer.run(main)
