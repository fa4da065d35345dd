"""Attention of steps over the pool in torch, against a naive float64 reference.

Three sequences are computed in steps: prompts in chunks, together, and last tokens one by one.
"""

from itertools import accumulate

import pytest
import torch
from torch import Tensor

from tests.unit.worker.engine.harness import greedy
from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.batch.packing import pack
from worker.engine.transformers.torch_forward.attention import (
    AttentionOptions,
    KeyValuePool,
    LayerShape,
    Visibility,
)
from worker.engine.transformers.torch_forward.gathered.decode_padded import PaddedDecodes
from worker.engine.transformers.torch_forward.gathered.paged_step import KeyLayouts, paged_inputs

BLOCK_SIZE = 4
NUM_BLOCKS = 300
CPU = torch.device("cpu")
HEADS, KEY_HEADS, SIZE, VALUE_SIZE = 6, 2, 8, 4
LENGTHS = (310, 21, 3)
CHUNKS = (2, 100, 150)
"""Tokens of each chunk of a prompt, if so many are left; then they are computed one by one."""
EXACT = {torch.float32: 1e-5, torch.bfloat16: 3e-2}

VISIBILITIES = {
    "all": Visibility(),
    "the latest": Visibility(window=7),
    "itself": Visibility(window=1),
    "more than there are": Visibility(window=1000),
    "a long window": Visibility(window=150),
    "chunks": Visibility(chunk=6),
}
SINKS = torch.linspace(-2, 3, HEADS)
OPTIONS = {
    "plain": AttentionOptions(),
    "scaled": AttentionOptions(scale=0.7),
    "sinks": AttentionOptions(sinks=SINKS),
    "capped": AttentionOptions(softcap=0.8),
    "sinks and capped": AttentionOptions(scale=0.7, softcap=0.8, sinks=SINKS),
}


class Tokens:
    """Query, key and value of every token of all sequences; a token's id is its index."""

    def __init__(self, dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        self.query = torch.randn(HEADS, sum(LENGTHS), SIZE).to(dtype)
        self.key = torch.randn(KEY_HEADS, sum(LENGTHS), SIZE).to(dtype)
        self.value = torch.randn(KEY_HEADS, sum(LENGTHS), VALUE_SIZE).to(dtype)
        ends = list(accumulate(LENGTHS))
        self.prompts = [list(range(end - n, end)) for n, end in zip(LENGTHS, ends, strict=True)]

    def compute(self, visibility: Visibility, options: AttentionOptions) -> Tensor:
        """Return the output of every token, [tokens, heads, value size], computed in steps."""
        blocks = BlockPool(NUM_BLOCKS, BLOCK_SIZE)
        shape = LayerShape(KEY_HEADS, SIZE, VALUE_SIZE, visibility)
        pool = KeyValuePool([shape], NUM_BLOCKS * BLOCK_SIZE, self.query.dtype, CPU)
        sequences = [Sequence(greedy(str(ids[0]), ids)) for ids in self.prompts]
        assert all(blocks.grow(sequence, len(sequence.tokens)) for sequence in sequences)
        outputs = torch.zeros(sum(LENGTHS), HEADS, VALUE_SIZE, dtype=self.query.dtype)
        sizes = iter(CHUNKS)
        while running := [sequence for sequence in sequences if sequence.num_pending]:
            size = next(sizes, 1)
            chunks = [Chunk(sequence, min(size, sequence.num_pending)) for sequence in running]
            packed = pack(chunks, BLOCK_SIZE)
            ids = packed.token_ids
            step = paged_inputs(packed, pool, BLOCK_SIZE, CPU).attention
            new = self.query[:, ids], self.key[:, ids], self.value[:, ids]
            outputs[ids] = step.attend(0, *new, options)
            for chunk in chunks:
                chunk.sequence.num_computed += chunk.num_tokens
        return outputs

    def expect(self, visibility: Visibility, options: AttentionOptions) -> Tensor:
        """Return the same, token by token in float64."""
        rows = []
        for ids in self.prompts:
            for position, token in enumerate(ids):
                seen = [ids[key] for key in range(position + 1) if _sees(visibility, position, key)]
                rows.append(self._attend(token, seen, options))
        return torch.stack(rows)

    def _attend(self, token: int, seen: list[int], options: AttentionOptions) -> Tensor:
        heads = torch.arange(HEADS) // (HEADS // KEY_HEADS)
        keys, values = self.key[heads][:, seen].double(), self.value[heads][:, seen].double()
        scores = torch.einsum("hd,hkd->hk", self.query[:, token].double(), keys)
        scores *= options.scale or SIZE**-0.5
        if options.softcap is not None:
            scores = torch.tanh(scores / options.softcap) * options.softcap
        weights = scores.exp()
        total = weights.sum(1)
        if options.sinks is not None:
            total += options.sinks.double().exp()
        return torch.einsum("hk,hkv->hv", weights / total[:, None], values)


def _sees(visibility: Visibility, position: int, key: int) -> bool:
    if visibility.window is not None:
        return position - key < visibility.window
    return visibility.chunk is None or position // visibility.chunk == key // visibility.chunk


@pytest.fixture(scope="module", params=EXACT, ids=str)
def tokens(request: pytest.FixtureRequest) -> Tokens:
    return Tokens(request.param)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
@pytest.mark.parametrize("visibility", VISIBILITIES.values(), ids=list(VISIBILITIES))
def test_every_token_attends_to_the_keys_that_its_layer_shows(
    tokens: Tokens, visibility: Visibility, options: AttentionOptions
) -> None:
    with torch.inference_mode():
        found = tokens.compute(visibility, options)

    exact = tokens.expect(visibility, options)
    tolerance = EXACT[tokens.query.dtype]
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=tolerance)


def test_a_decode_reads_no_key_before_its_window() -> None:
    sequence = Sequence(greedy("a", [0] * 20))
    BlockPool(NUM_BLOCKS, BLOCK_SIZE).grow(sequence, 20)
    sequence.num_computed = 19
    packed = pack([Chunk(sequence, 1)], BLOCK_SIZE)

    decodes = KeyLayouts(packed, BLOCK_SIZE, CPU, zero_slot=0).find(Visibility(window=7)).decodes

    assert isinstance(decodes, PaddedDecodes)
    [group] = decodes.groups
    first, second = sequence.blocks[3:]
    assert group.slots.tolist() == [
        [*range(4 * first + 1, 4 * first + 4), *range(4 * second, 4 * second + 4)]
    ]


def test_layers_that_hide_no_key_of_a_step_share_its_layout() -> None:
    pool = BlockPool(NUM_BLOCKS, BLOCK_SIZE)
    sequence = Sequence(greedy("a", [0] * 9))
    pool.grow(sequence, 9)
    layouts = KeyLayouts(pack([Chunk(sequence, 9)], BLOCK_SIZE), BLOCK_SIZE, CPU, zero_slot=0)

    assert layouts.find(Visibility(window=9)) is layouts.find(Visibility())
    assert layouts.find(Visibility(window=8)) is not layouts.find(Visibility())
    assert layouts.find(Visibility(chunk=8)) is not layouts.find(Visibility(window=8))
    assert layouts.find(Visibility(), has_sinks=True) is not layouts.find(Visibility())
