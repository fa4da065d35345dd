"""Images whose tokens attend to each other: one step computes all tokens of such an image."""

import pytest
import torch

from tests.unit.worker.engine.harness import greedy
from worker.engine.image_features import EncodedImage, PromptImages
from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.batch.packing import pack
from worker.engine.transformers.batch.prefill import PrefillTurns
from worker.engine.transformers.torch_forward.attention import Visibility

BLOCK_SIZE = 4
FIRST, LAST = 6, 15
"""First and last token of the image in a prompt of 20 tokens."""


def prompt_with_image(*, is_whole: bool = True) -> Sequence:
    positions = range(FIRST, LAST + 1)
    image = EncodedImage(b"digest", positions, torch.zeros(len(positions), 8), is_whole=is_whole)
    sequence = Sequence(greedy("it", list(range(20))), images=PromptImages([image]))
    assert BlockPool(8, BLOCK_SIZE).grow(sequence, 20)
    return sequence


@pytest.mark.parametrize(
    ("num_computed", "budget", "num_tokens"),
    [(0, 5, 5), (0, 8, 6), (6, 4, 10), (6, 12, 12), (9, 4, 7), (16, 4, 4), (0, 20, 20)],
    ids=["before", "into it", "from its start", "over it", "within it", "after", "all"],
)
def test_a_step_ends_before_the_image_or_after_it(
    num_computed: int, budget: int, num_tokens: int
) -> None:
    sequence = prompt_with_image()
    sequence.num_computed = num_computed

    [chunk] = PrefillTurns(BLOCK_SIZE).share([sequence], budget)

    assert chunk.num_tokens == num_tokens


def test_another_image_is_cut_by_the_budget() -> None:
    [chunk] = PrefillTurns(BLOCK_SIZE).share([prompt_with_image(is_whole=False)], 8)

    assert chunk.num_tokens == 8


def test_its_tokens_attend_up_to_its_end() -> None:
    [row] = pack([Chunk(prompt_with_image(), 20)], BLOCK_SIZE).rows

    assert row.image_ends == [1, 2, 3, 4, 5, 6, *[16] * 10, 17, 18, 19, 20]


def test_a_step_without_it_attends_as_ever() -> None:
    sequence = prompt_with_image()
    sequence.num_computed = 16

    [row] = pack([Chunk(sequence, 4)], BLOCK_SIZE).rows

    assert row.image_ends is None


def test_a_window_hides_what_is_before_it_and_nothing_of_the_image_after() -> None:
    visibility = Visibility(window=2, is_two_way=True)

    mask = visibility.mask(torch.arange(4), torch.arange(4), torch.tensor([1, 4, 4, 4]))

    assert mask.int().tolist() == [[1, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1]]
