"""Whether a forward pass gives what transformers' own code gives: the load check.

Prompts are computed by the plain network with transformers' own attention, each alone, and by the
forward pass as they would be served: a short one, a long one in chunks, and ragged ones in one
batch, the last tokens of each one by one, as they are generated. What is compared are the logits at
their ends. Of a graph for OpenVINO those of the plain network, in float32, are kept beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.engine.interface import GenerationRequest
from worker.engine.params import SamplingParams
from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk, due_sequences
from worker.engine.transformers.batch.packing import Pack, pack

Batches = list[list[list[int]]]
"""Prompts that are computed together, one such group after the other."""

NUM_CACHED_TOKENS = 320
"""Tokens of a cache that holds any group, also in blocks of 32."""

_LENGTHS = ((5,), (200,), (70, 35, 17))
_CHUNK_TOKENS = 64
_NUM_COMPARED = 4
"""Last tokens of each prompt whose logits are compared."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far next-token distributions are from those of float32, over the compared positions."""

    divergence: float
    """Kullback-Leibler divergence in nats, in the mean."""
    agreement: float
    """Share of positions with the same likeliest token."""
    correlation: float
    """Of the logits, at the position where it is least."""


def check_prompts(vocab_size: int, max_positions: int | None) -> Batches:
    """Return prompts for a network, cut to the positions that it knows."""
    most = max_positions or NUM_CACHED_TOKENS
    return [[_prompt(min(size, most), vocab_size) for size in sizes] for sizes in _LENGTHS]


@torch.inference_mode()
def reference_logits(model: Any, batches: Batches) -> NDArray[Any]:
    """Return logits [positions, vocab] by transformers, each prompt alone."""
    found = []
    for prompt in (each for batch in batches for each in batch):
        output = model(input_ids=torch.tensor([prompt], device=model.device), use_cache=False)
        found.append(output.logits[0, -_NUM_COMPARED:].float().cpu().numpy())
    return np.concatenate(found)


@torch.inference_mode()
def computed_logits(
    forward: Callable[[Pack], Tensor], block_size: int, batches: Batches
) -> NDArray[Any]:
    """Return the same by a forward pass whose cache has room for each group of prompts; it uses
    blocks from the first on."""
    return np.concatenate([_of_batch(forward, block_size, batch) for batch in batches])


def deviation(reference: NDArray[Any], computed: NDArray[Any]) -> Deviation:
    """Compare logits [positions, vocab]."""
    expected = torch.from_numpy(reference).double().log_softmax(-1)
    found = torch.from_numpy(computed).double().log_softmax(-1)
    pairs = zip(reference, computed, strict=True)
    with np.errstate(all="ignore"):  # infinite logits give no number, which is not alike
        correlations = [float(np.corrcoef(*pair)[0, 1]) for pair in pairs]
    return Deviation(
        divergence=float((expected.exp() * (expected - found)).sum(-1).mean()),
        agreement=float((reference.argmax(-1) == computed.argmax(-1)).mean()),
        correlation=float(np.min(correlations)),
    )


def _prompt(size: int, vocab_size: int) -> list[int]:
    return [(size * 31 + index * 17) % vocab_size for index in range(size)]


def _of_batch(
    forward: Callable[[Pack], Tensor], block_size: int, batch: list[list[int]]
) -> NDArray[Any]:
    pool = BlockPool(NUM_CACHED_TOKENS // block_size, block_size)
    sequences = [_sequence(number, prompt) for number, prompt in enumerate(batch)]
    rows: dict[str, list[NDArray[Any]]] = {each.id: [] for each in sequences}
    while running := [each for each in sequences if each.num_pending]:
        for sequence in running:
            assert pool.grow(sequence, len(sequence.tokens))
        chunks = [Chunk(each, min(each.num_pending, _CHUNK_TOKENS)) for each in running]
        logits = forward(pack(chunks, block_size)).cpu().numpy()
        for sequence, row in zip(due_sequences(chunks), logits, strict=True):
            rows[sequence.id].append(row.copy())
        for chunk in chunks:
            chunk.sequence.num_computed += chunk.num_tokens
            _extend(chunk.sequence, batch[sequences.index(chunk.sequence)])
    return np.stack([row for each in sequences for row in rows[each.id]])


def _sequence(number: int, prompt: list[int]) -> Sequence:
    first = prompt[: max(1, len(prompt) - _NUM_COMPARED + 1)]
    params = SamplingParams(max_tokens=1)
    return Sequence(GenerationRequest(sequence_id=str(number), prompt=first, params=params))


def _extend(sequence: Sequence, prompt: list[int]) -> None:
    """Once all its tokens are computed, give a sequence the prompt's next, as if generated."""
    if not sequence.num_pending and len(sequence.tokens) < len(prompt):
        sequence.tokens.append(prompt[len(sequence.tokens)])
