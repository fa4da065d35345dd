"""Load-time comparison of a forward pass with transformers' own implementation.

The reference is the plain network with transformers' attention, which computes each prompt alone.
The forward pass computes the prompts as it would serve them: a short one, a long one in chunks, and
several of different lengths in one batch, the last tokens of each one at a time, as in decoding.
The long one exceeds any window or other border that the configuration names, up to `MAX_BORDER`,
as a network's masks and positions may change there. The logits at the ends of the prompts are
compared. The reference logits of an OpenVINO graph, computed in float32, are stored with the graph.
"""

import re
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
from worker.engine.transformers.batch.chunk import Chunk, due_sequences
from worker.engine.transformers.batch.packing import Pack, pack
from worker.engine.transformers.batch.state_blocks import StateSlots, make_block_pool

Batches = list[list[list[int]]]
"""Groups of prompts (token ids). The prompts of a group are computed together."""

MAX_BORDER = 600
"""Longest border that a prompt is made to cross; others would take too long at every load."""

_SHORT_LENGTHS, _RAGGED_LENGTHS = (5,), (70, 35, 17)
_LONG_LENGTH = 200
_BORDER_NAMES = re.compile("window|chunk|top_?k|original_max_position|keep")
_BLOCK_SLACK = 3 * 32
"""Tokens by which blocks may exceed a group of prompts."""
_CHUNK_TOKENS = 64
_NUM_COMPARED = 4
"""Number of final positions of each prompt whose logits are compared."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """Deviation of next-token distributions from those of the float32 reference."""

    divergence: float
    """Mean Kullback-Leibler divergence over the compared positions, in nats."""
    agreement: float
    """Share of positions with the same most likely token."""
    correlation: float
    """Correlation of the logits at the position where it is lowest."""


def check_length(config: Any) -> int:
    """Return the length of the longest check prompt for a network with this configuration.

    It exceeds every border that the language model's configuration names, up to `MAX_BORDER`.
    """
    values = config.get_text_config().to_dict()
    borders = [
        value
        for name, value in values.items()
        if _BORDER_NAMES.search(name) and isinstance(value, int) and value <= MAX_BORDER
    ]
    return max(_LONG_LENGTH, max(borders, default=0) + _CHUNK_TOKENS // 2)


def check_prompts(
    vocab_size: int, max_positions: int | None, longest: int = _LONG_LENGTH
) -> Batches:
    """Return the check prompts for a network, cut to the number of positions it supports.

    `longest` is the length of the longest one.
    """
    return [
        [_make_prompt(min(length, max_positions or length), vocab_size) for length in lengths]
        for lengths in (_SHORT_LENGTHS, (longest,), _RAGGED_LENGTHS)
    ]


def num_cached_tokens(batches: Batches) -> int:
    """Return the tokens of a cache that holds any group of prompts, also in blocks of 32."""
    return _BLOCK_SLACK + max(sum(map(len, batch)) for batch in batches)


@torch.inference_mode()
def reference_logits(model: Any, batches: Batches) -> NDArray[Any]:
    """Return float32 logits [positions, vocab] from transformers, each prompt computed alone."""
    found = []
    for prompt in (prompt for batch in batches for prompt in batch):
        output = model(input_ids=torch.tensor([prompt], device=model.device), use_cache=False)
        found.append(output.logits[0, -_NUM_COMPARED:].float().cpu().numpy())
    return np.concatenate(found)


@torch.inference_mode()
def computed_logits(
    forward: Callable[[Pack], Tensor],
    block_size: int,
    batches: Batches,
    original_length: int | None = None,
    states: StateSlots | None = None,
) -> NDArray[Any]:
    """Return logits [positions, vocab] from `forward`, in the order of `reference_logits`.

    The cache of `forward` must have room for each group of prompts; its blocks are used from the
    first on. `original_length` and `states` are those of the forward pass.
    """
    longest = original_length or max(len(prompt) for batch in batches for prompt in batch)
    return np.concatenate(
        [_compute_batch(forward, block_size, batch, longest, states) for batch in batches]
    )


def deviation(reference: NDArray[Any], computed: NDArray[Any]) -> Deviation:
    """Return the deviation of computed from reference logits, both [positions, vocab]."""
    expected = torch.from_numpy(reference).double().log_softmax(-1)
    found = torch.from_numpy(computed).double().log_softmax(-1)
    pairs = zip(reference, computed, strict=True)
    with np.errstate(all="ignore"):  # infinite logits give NaN, which fails the check
        correlations = [float(np.corrcoef(*pair)[0, 1]) for pair in pairs]
    return Deviation(
        divergence=float((expected.exp() * (expected - found)).sum(-1).mean()),
        agreement=float((reference.argmax(-1) == computed.argmax(-1)).mean()),
        correlation=float(np.min(correlations)),
    )


def _make_prompt(length: int, vocab_size: int) -> list[int]:
    return [(length * 31 + index * 17) % vocab_size for index in range(length)]


def _compute_batch(
    forward: Callable[[Pack], Tensor],
    block_size: int,
    batch: list[list[int]],
    longest_short: int,
    states: StateSlots | None,
) -> NDArray[Any]:
    pool = make_block_pool(num_cached_tokens([batch]) // block_size, block_size, states)
    sequences = [_make_sequence(number, prompt) for number, prompt in enumerate(batch)]
    for sequence, prompt in zip(sequences, batch, strict=True):
        sequence.has_long_positions = len(prompt) > longest_short
    rows: dict[str, list[NDArray[Any]]] = {sequence.id: [] for sequence in sequences}
    while running := [sequence for sequence in sequences if sequence.num_pending]:
        for sequence in running:
            assert pool.grow(sequence, len(sequence.tokens))
        chunks = [Chunk(sequence, min(sequence.num_pending, _CHUNK_TOKENS)) for sequence in running]
        logits = forward(pack(chunks, block_size)).cpu().numpy()
        for sequence, row in zip(due_sequences(chunks), logits, strict=True):
            rows[sequence.id].append(row.copy())
        for chunk in chunks:
            chunk.sequence.num_computed += chunk.num_tokens
            _append_next_token(chunk.sequence, batch[sequences.index(chunk.sequence)])
    return np.stack([row for sequence in sequences for row in rows[sequence.id]])


def _make_sequence(number: int, prompt: list[int]) -> Sequence:
    first = prompt[: max(1, len(prompt) - _NUM_COMPARED + 1)]
    params = SamplingParams(max_tokens=1)
    return Sequence(GenerationRequest(sequence_id=str(number), prompt=first, params=params))


def _append_next_token(sequence: Sequence, prompt: list[int]) -> None:
    """Append the prompt's next token, as if generated, once the sequence has none pending."""
    if not sequence.num_pending and len(sequence.tokens) < len(prompt):
        sequence.tokens.append(prompt[len(sequence.tokens)])
