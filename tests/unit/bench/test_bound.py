"""Bytes that a decode step reads, compared with values computed by hand."""

import pytest
import torch
from transformers import LlamaConfig

from bench.engines.batches import FullSteps
from bench.engines.bound import Bound, read_speed, token_bytes, weights_bytes
from bench.engines.shapes import SHAPES

# Of one layer of `tiny`: queries and output, keys and values, three MLP matrices, two norms.
LAYER = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64
VOCAB = 512 * 64


@pytest.mark.parametrize("is_shared", [False, True])
def test_all_weights_are_read_but_those_of_embeddings_that_only_look_up(is_shared: bool) -> None:
    config = LlamaConfig(**SHAPES["tiny"], tie_word_embeddings=is_shared)

    assert weights_bytes(config, torch.bfloat16) == 2 * (2 * LAYER + 64 + VOCAB)


def test_a_token_has_keys_and_values_of_all_key_heads_in_every_layer() -> None:
    config = LlamaConfig(**SHAPES["tiny"])

    assert token_bytes(config, torch.float32) == 2 * 2 * 2 * 16 * 4


def test_steps_read_the_weights_once_each_and_every_token_that_is_there() -> None:
    bound = Bound(bytes_per_s=1000.0, weights_bytes=500, token_bytes=10)

    seconds = bound.seconds(FullSteps(num_steps=4, num_read=300))

    assert seconds == pytest.approx((4 * 500 + 300 * 10) / 1000)


def test_memory_is_read_at_some_speed() -> None:
    assert 1e7 < read_speed("cpu", 2**22) < 1e13
