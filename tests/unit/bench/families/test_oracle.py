"""Oracle of the comparison of families: what counts as right, as a tie and as wrong."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from bench.families.oracle import TIE, Agreement, Oracle

VOCAB_SIZE = 10


class Counting:
    """Network that counts: after n it says n + 1, or just as well n + 2 if n is five."""

    def __init__(self, tie: float) -> None:
        self.generation_config = SimpleNamespace(eos_token_id=3)
        self._tie = tie

    def generate(self, ids: Tensor, max_new_tokens: int, **_: Any) -> Any:
        tokens, logits = ids[0].tolist(), []
        for _token in range(max_new_tokens):
            logits.append(self._logits(tokens[-1]))
            tokens.append(int(logits[-1].argmax()))
        return SimpleNamespace(
            sequences=torch.tensor([tokens]), logits=[row[None] for row in logits]
        )

    def _logits(self, token: int) -> Tensor:
        row = torch.zeros(VOCAB_SIZE)
        row[(token + 1) % VOCAB_SIZE] = 3.0
        if token == 5:
            row[(token + 2) % VOCAB_SIZE] = 3.0 - self._tie
        return row


def test_the_same_tokens_are_right() -> None:
    assert Oracle(Counting(0.5)).compare([1, 2], [3, 4, 5, 6]) == Agreement()


def test_another_token_is_wrong_from_its_place_on() -> None:
    found = Oracle(Counting(0.5)).compare([1, 2], [3, 4, 5, 7, 8])

    assert found.differs_at == 3
    assert found.gap > 100 * TIE


def test_either_token_of_a_tie_is_right_and_so_is_what_follows_it() -> None:
    oracle = Oracle(Counting(TIE / 10))

    assert oracle.compare([4], [5, 6, 7, 8]) == Agreement()
    assert oracle.compare([4], [5, 7, 8]) == Agreement(num_ties=1)


def test_what_follows_a_tie_must_be_right_too() -> None:
    found = Oracle(Counting(TIE / 10)).compare([4], [5, 7, 9])

    assert (found.num_ties, found.differs_at) == (1, 2)


def test_an_answer_that_is_not_a_number_is_wrong() -> None:
    class Broken(Counting):
        def _logits(self, token: int) -> Tensor:
            return super()._logits(token) * float("nan")

    assert Oracle(Broken(0.0)).compare([1], [2]).differs_at == 0
