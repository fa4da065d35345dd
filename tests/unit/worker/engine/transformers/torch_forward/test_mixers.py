from typing import Any

import pytest
import torch
from torch import Tensor

from worker.engine.interface import UnsupportedModelError
from worker.engine.transformers.batch.packing import Pack, Row
from worker.engine.transformers.torch_forward.mixers import StateRecorder, StateStep
from worker.engine.transformers.torch_forward.states import (
    MixerCache,
    StateName,
    StatePool,
    StateShape,
)

TOKENS = torch.ones(1, 3, 8)


def test_shapes_of_states_are_recorded_from_what_a_mixer_keeps() -> None:
    def mix(tokens: Tensor, cache: MixerCache, is_generated: bool) -> Tensor:
        cache.update_conv_state(tokens.transpose(1, 2), 5, conv_kernel_size=4)
        cache.update_recurrent_state(tokens.new_zeros(1, 2, 4, dtype=torch.float64), 5)
        return tokens

    recorder = StateRecorder()
    recorder.mix(5, mix, TOKENS)

    convolution = StateShape((8, 4), torch.float32)
    recurrent = StateShape((2, 4), torch.float64)
    names = StateName(True, 0), StateName(False, 0)
    assert recorder.shapes == {5: dict(zip(names, (convolution, recurrent), strict=True))}
    assert (convolution.num_bytes, recurrent.num_bytes) == (8 * 4 * 4, 2 * 4 * 8)


def test_a_mixer_that_needs_more_of_a_cache_is_refused_with_what_it_needs() -> None:
    def mix(tokens: Tensor, cache: Any, is_generated: bool) -> Tensor:
        cache.update_indexer(tokens)
        return tokens

    with pytest.raises(UnsupportedModelError, match=r"a cache of their own: .*update_indexer"):
        StateRecorder().mix(0, mix, TOKENS)


def test_a_mixer_that_returns_something_else_than_tokens_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="return more"):
        StateRecorder().mix(0, lambda tokens, *_: tokens.repeat(1, 1, 2), TOKENS)


@pytest.mark.parametrize("is_even", [True, False])
def test_rows_are_mixed_with_their_own_states_answers_apart_if_they_are_uneven(
    is_even: bool,
) -> None:
    shapes = {0: {StateName(False, 0): StateShape((1,), torch.float32)}}
    device = torch.device("cpu")
    pool = StatePool(shapes, 4, device, reuses_answers=is_even)
    rows = [
        Row(1, 1, [], state_slot=3),
        Row(1, 5, [], state_slot=0, num_generated=1),
        Row(1, 7, [], state_slot=2, num_generated=1),
        Row(5, 9, [], state_slot=1, num_generated=2),
    ]
    for row in rows:
        pool.write(0, row.state_slot or 0, {StateName(False, 0): torch.tensor([[row.num_keys]])})
    calls: list[tuple[tuple[int, ...], list[float] | None, bool]] = []

    def mix(tokens: Tensor, cache: MixerCache, is_generated: bool) -> Tensor:
        state = cache.get_recurrent_state(0)
        known = None if state is None else state.flatten().tolist()
        calls.append((tuple(tokens.shape[:2]), known, is_generated))
        cache.update_recurrent_state(torch.full((len(tokens), 1), -1.0), 0)
        return tokens

    tokens = torch.arange(16.0).view(1, 8, 2)
    mixed = StateStep(pool, _pack(rows), device).mix(0, mix, tokens)

    apart = [((1, 3), [9.0], False), ((1, 2), [-1.0], True)]
    first = [((1, 1), None, False), ((2, 1), [5.0, 7.0], True)]
    assert calls == [*first, *([((1, 5), [9.0], True)] if is_even else apart)]
    assert mixed.equal(tokens)
    assert [pool.view(0, slot)[StateName(False, 0)].item() for slot in range(4)] == [-1.0] * 4


def _pack(rows: list[Row]) -> Pack:
    decodes = [row for row in rows if row.num_tokens == 1]
    return Pack(
        token_ids=[],
        positions=[],
        write_slots=[],
        rows=rows,
        num_decodes=len(decodes),
        sampled_rows=[],
        images=[],
        grid=[],
    )


@pytest.mark.parametrize("num_tokens", [1, 2, 6])
def test_a_convolution_sees_zeros_before_the_first_token(num_tokens: int) -> None:
    cache = MixerCache({}, is_fresh=True)
    inputs = torch.arange(1.0, 1 + num_tokens)[None, None]

    first = cache.update_conv_state(inputs, 0, conv_kernel_size=4)
    following = MixerCache(cache.states, is_fresh=False)
    second = following.update_conv_state(torch.full((1, 1, 1), 9.0), 0, conv_kernel_size=4)

    padded = [0.0] * max(0, 4 - num_tokens) + inputs.flatten().tolist()
    assert first.flatten().tolist() == padded
    assert second.flatten().tolist() == [*padded[-4:], 9.0]
    assert following.states[StateName(True, 0)].flatten().tolist() == [*padded[-3:], 9.0]
