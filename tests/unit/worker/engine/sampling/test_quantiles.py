"""Draws from flat distributions, which a few candidates do not decide, against a plain sort."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.params import SamplingParams
from worker.engine.sampling.quantiles import Quantiles
from worker.engine.sampling.sampler import Draw, sample

VOCAB_SIZE = 3000


def scores_of(kind: str, seed: int, rows: int = 3) -> torch.Tensor:
    """Return scores [rows, vocab] whose maximum is 0, in float32 as a network computes them."""
    numbers = np.random.default_rng(seed)
    shape = (rows, VOCAB_SIZE)
    makers: dict[str, Callable[[], np.ndarray]] = {
        "spread": lambda: numbers.normal(0, 3, shape),
        "narrow": lambda: numbers.normal(0, 0.01, shape),
        "equal": lambda: np.zeros(shape),
        "rounded": lambda: numbers.normal(0, 1, shape).round(1),
        "forbidden": lambda: np.where(numbers.random(shape) < 0.9, -np.inf, numbers.random(shape)),
        "steep": lambda: np.tile(-np.arange(VOCAB_SIZE) / 2.0, (rows, 1)),
    }
    scores = makers[kind]()
    best = scores.max(-1, keepdims=True)
    return torch.from_numpy((scores - best).astype(np.float32))


kinds = st.sampled_from(["spread", "narrow", "equal", "rounded", "forbidden", "steep"])


@settings(deadline=None, max_examples=100)
@given(
    kind=kinds,
    seed=st.integers(0, 99),
    counts=st.lists(st.integers(1, VOCAB_SIZE), min_size=3, max_size=3),
    share=st.floats(0.001, 0.999),
    floor=st.floats(0, 1),
)
def test_masses_and_tokens_are_those_of_the_sorted_row(
    kind: str, seed: int, counts: list[int], share: float, floor: float
) -> None:
    scores = scores_of(kind, seed)
    weights = scores.exp()
    quantiles = Quantiles(scores, weights)
    ordered = np.sort(weights.numpy().astype(np.float64), -1)[:, ::-1]
    sums = ordered.cumsum(-1)
    totals = sums[:, -1:]

    of_first = quantiles.mass_of_first(torch.tensor(counts, dtype=torch.float32)[:, None])
    until = quantiles.mass_until(torch.from_numpy(share * totals))
    above = quantiles.mass_above(torch.full((3, 1), floor))
    tokens = quantiles.token_at(torch.from_numpy(share * totals))

    rough = 1e-5 * totals
    for row, count in enumerate(counts):
        assert of_first[row, 0] == pytest.approx(sums[row, count - 1], abs=rough[row, 0])
        reached = int(np.abs(sums[row] - float(until[row, 0])).argmin())
        assert until[row, 0] == pytest.approx(sums[row, reached], abs=rough[row, 0])
        assert sums[row, reached] >= share * totals[row, 0] - rough[row, 0]
        before = sums[row, reached] - ordered[row, reached]
        assert before <= share * totals[row, 0] + rough[row, 0]
        kept = ordered[row] >= np.float32(floor)
        assert above[row, 0] == pytest.approx(ordered[row][kept].sum(), abs=rough[row, 0])
        weight = float(weights[row, tokens[row]])
        start = ordered[row][ordered[row] > weight].sum()
        end = ordered[row][ordered[row] >= weight].sum()
        assert start - rough[row, 0] <= share * totals[row, 0] <= end + rough[row, 0]


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("kind", ["spread", "equal", "forbidden", "steep"])
def test_the_ends_of_a_distribution_are_tokens_that_may_be_drawn(kind: str, share: float) -> None:
    scores = scores_of(kind, 0)
    quantiles = Quantiles(scores, scores.exp())

    tokens = quantiles.token_at(share * scores.exp().double().sum(-1, keepdim=True))

    assert (scores.gather(1, tokens[:, None]) > -33).all()


def test_only_a_small_part_of_a_flat_distribution_is_put_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = np.random.default_rng(0)
    logits = torch.from_numpy(numbers.normal(0, 2, (4, 50_000)).astype(np.float32))
    sizes: list[int] = []
    sort = torch.Tensor.argsort

    def counted(values: torch.Tensor, **options: bool) -> torch.Tensor:
        sizes.append(len(values))
        return sort(values, **options)

    monkeypatch.setattr(torch.Tensor, "argsort", counted)
    params = [SamplingParams(max_tokens=1, top_p=0.95, seed=seed) for seed in range(4)]

    sample(logits, [Draw(row_params, 0) for row_params in params])

    assert sizes
    assert max(sizes) < 4 * 500


def test_a_row_draws_the_same_among_all_with_any_neighbours() -> None:
    scores = torch.cat([scores_of(kind, 1) for kind in ("spread", "narrow", "rounded", "equal")])
    draws = [
        Draw(SamplingParams(max_tokens=1, top_p=0.9, top_k=row * 150, seed=row), 0)
        for row in range(len(scores))
    ]

    together = sample(scores, draws).tokens

    alone = [sample(scores[n : n + 1], [draw]).tokens[0] for n, draw in enumerate(draws)]
    assert together == alone
