"""Positions on three axes of a prompt with an image, and of what is generated after it."""

import pytest
import torch

from worker.engine.image_features import GridPositions, GridRows, place_positions

# Two tokens of text, an image of two rows and three columns, then text from the position after its
# longest edge.
AXES = torch.tensor(
    [
        [0, 1, 2, 2, 2, 2, 2, 2, 5, 6],
        [0, 1, 2, 2, 2, 3, 3, 3, 5, 6],
        [0, 1, 2, 3, 4, 2, 3, 4, 5, 6],
    ]
)
OFFSET = -3


@pytest.fixture
def grid() -> GridPositions:
    return GridPositions.of_prompt(AXES, OFFSET)


def test_only_tokens_up_to_the_last_of_an_image_are_kept(grid: GridPositions) -> None:
    assert torch.equal(grid.axes, AXES[:, :8])


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 4, [0, 1, 2, 2]), (7, 10, [2, 5, 6]), (8, 10, [5, 6]), (11, 13, [8, 9])],
    ids=["before", "across", "after", "generated"],
)
def test_text_continues_after_the_longest_edge(
    grid: GridPositions, start: int, end: int, expected: list[int]
) -> None:
    assert grid.first_axis(start, end) == expected


def test_axes_are_given_for_a_step_with_tokens_of_an_image_alone(grid: GridPositions) -> None:
    across = grid.all_axes(6, 11)
    assert across is not None
    assert across.tolist() == [[2, 2, 5, 6, 7], [3, 3, 5, 6, 7], [3, 4, 5, 6, 7]]

    assert grid.all_axes(8, 11) is None
    assert grid.all_axes(12, 13) is None


def test_text_alone_has_plain_positions() -> None:
    plain = GridPositions.of_prompt(torch.arange(4).expand(3, -1), 0)

    assert plain.axes.shape == (3, 0)
    assert plain.first_axis(2, 6) == [2, 3, 4, 5]


def test_rows_of_a_step_have_their_own_positions(grid: GridPositions) -> None:
    axes = grid.all_axes(3, 6)
    assert axes is not None

    placed = place_positions(torch.tensor([[70, 2, 2, 2, 80]]), [GridRows(1, axes)])

    assert placed[:, 0].tolist() == [[70, 2, 2, 2, 80], [70, 2, 2, 3, 80], [70, 3, 4, 2, 80]]
