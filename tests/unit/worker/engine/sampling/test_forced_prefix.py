"""Forced prefixes of an answer, applied where the model finds them likely enough."""

from dataclasses import replace

import pytest
import torch

from worker.engine.interface import ForcedPrefix
from worker.engine.sampling.forced_prefix import apply_forced_prefixes

OPENING = ForcedPrefix(token_ids=[1, 2], threshold=3.5)


def likeliest(
    logits: list[float], forced_prefix: ForcedPrefix | None, *generated: int
) -> list[int]:
    """Return the tokens that may still be drawn."""
    rows = torch.tensor([logits, logits])
    apply_forced_prefixes(rows, [(forced_prefix, list(generated)), (None, [])])
    assert rows[1].tolist() == logits
    return rows[0].isfinite().nonzero()[:, 0].tolist()


@pytest.mark.parametrize(("behind", "begins"), [(0.0, True), (3.5, True), (4.0, False)])
def test_the_first_token_decides_by_the_threshold(behind: float, begins: bool) -> None:
    allowed = likeliest([5.0, 5.0 - behind, 0.0, 1.0], OPENING)

    assert allowed == ([1] if begins else [0, 1, 2, 3])


def test_without_end_it_never_begins_so() -> None:
    assert likeliest([0.0, 9.0, 0.0, 0.0], replace(OPENING, threshold=-torch.inf)) == [0, 2, 3]


def test_the_others_follow_whatever_their_logits_are() -> None:
    assert likeliest([9.0, 0.0, -9.0, 0.0], OPENING, 1) == [2]
    assert likeliest([9.0, 0.0, -torch.inf, 0.0], OPENING, 1) == [2]


@pytest.mark.parametrize("generated", [(0,), (1, 2), (1, 0), (1, 2, 1)])
def test_once_it_has_begun_otherwise_or_is_over_it_is_left_alone(
    generated: tuple[int, ...],
) -> None:
    assert likeliest([0.0, 1.0, 1.0, 1.0], OPENING, *generated) == [0, 1, 2, 3]


def test_every_row_of_a_batch_is_decided_by_itself() -> None:
    rows = torch.tensor([[5.0, 5.0 - behind, 0.0, 1.0] for behind in (0.0, 4.0, 9.0, 9.0, 0.0)])
    before = rows.clone()
    never = replace(OPENING, threshold=-torch.inf)

    apply_forced_prefixes(
        rows, [(OPENING, []), (OPENING, []), (None, []), (OPENING, [1]), (never, [])]
    )

    allowed = [row.isfinite().nonzero()[:, 0].tolist() for row in rows]
    assert allowed == [[1], [0, 1, 2, 3], [0, 1, 2, 3], [2], [0, 2, 3]]
    assert torch.equal(rows[1:3], before[1:3])
