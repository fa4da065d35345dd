"""Oracle: greedy continuations by `model.generate`, and the comparison of others with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

TIE = 1e-4
"""Distance of two logits, in standard deviations of all logits at the position, up to which float32
may order them either way: rounding is some hundredth of it, and an error a thousand times it."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Comparison of one answer with what `generate` gives."""

    num_ties: int = 0
    """Number of positions at which the answer has the other token of a tie."""
    differs_at: int | None = None
    """Index of the first token that is wrong; None if the answer is right."""
    gap: float = 0.0
    """Distance of the wrong token's logit from the highest, in standard deviations."""


class Oracle:
    """A network of transformers that continues prompts, each alone."""

    def __init__(self, model: Any) -> None:
        self._model = model
        # In place: several networks read the end of sequence from there.
        self._model.generation_config.eos_token_id = None
        self._known: dict[tuple[int, ...], tuple[list[int], list[Tensor]]] = {}
        """Answers by their prompt, as several engines are given the same ones."""

    def continue_(self, prompt: Sequence[int], num_tokens: int) -> list[int]:
        """Return the tokens that follow a prompt."""
        return self._generate(prompt, num_tokens)[0]

    def compare(self, prompt: Sequence[int], answer: Sequence[int]) -> Agreement:
        """Compare an answer with the oracle's; after a tie the oracle goes on from the answer."""
        start, num_ties = 0, 0
        while start < len(answer):
            known = [*prompt, *answer[:start]]
            wanted, logits = self._generate(known, len(answer) - start)
            pairs = zip(wanted, answer[start:], strict=True)
            index = next((i for i, (want, got) in enumerate(pairs) if want != got), None)
            if index is None:
                break
            row = logits[index]
            gap = float((row[wanted[index]] - row[answer[start + index]]) / row.std())
            if not gap <= TIE:
                return Agreement(num_ties, start + index, gap)
            num_ties += 1
            start += index + 1
        return Agreement(num_ties)

    def _generate(self, prompt: Sequence[int], num_tokens: int) -> tuple[list[int], list[Tensor]]:
        """Return the tokens, and the logits each was chosen by."""
        known = self._known.get(tuple(prompt))
        if known is not None and len(known[0]) == num_tokens:
            return known
        ids = torch.tensor([list(prompt)])
        output = self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=num_tokens,
            do_sample=False,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_logits=True,
        )
        tokens = output.sequences[0, len(prompt) :].tolist()
        found = tokens, [logits[0].float() for logits in output.logits]
        self._known[tuple(prompt)] = found
        return found
