"""Sampling parameters of a generation request.

Plain data only: importing this loads no tensor library.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from math import isfinite

BREAKER_START = 0
"""State before the first token of a sequence breaker."""
BREAKER_END = -1
"""State after the last token of a sequence breaker."""

MAX_TOP_LOGPROBS = 20
"""Largest number of alternatives reported for each token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryParams:
    """Parameters of the DRY repetition penalty; see `worker/engine/sampling/dry.py`."""

    multiplier: float
    base: float = 1.75
    allowed_length: int = 2
    breaker_moves: Mapping[int, Sequence[tuple[int, int]]] = field(default_factory=dict)
    """State transitions (from, to) of the sequence breakers' automaton, by token id.

    A breaker may start at any token, from `BREAKER_START`; a transition to `BREAKER_END` completes
    it.
    """

    def __post_init__(self) -> None:
        checks = {
            "multiplier": 0 < self.multiplier < float("inf"),
            "base": 0 <= self.base < float("inf"),
            "allowed_length": self.allowed_length >= 0,
        }
        _check(self, checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """Parameters of sampling; equal parameters and seed draw equal tokens in any batch."""

    max_tokens: int
    """Largest number of tokens to generate; with 0 the prompt is computed, and no token drawn."""
    temperature: float = 1.0
    """Divisor of the logits; 0 selects the likeliest token (greedy)."""
    top_p: float = 1.0
    top_k: int = 0
    """Number of likeliest tokens to draw from; 0 means no limit."""
    min_p: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Values added to logits, by token id."""
    frequency_penalty: float = 0.0
    """Amount subtracted from a token's logit for each time that it was generated."""
    presence_penalty: float = 0.0
    """Amount subtracted once from the logit of a token that was generated."""
    repetition_penalty: float = 1.0
    """Divisor of positive and factor of negative logits of all tokens so far, prompt included."""
    dry: DryParams | None = None
    seed: int = 0
    ignore_eos: bool = False
    num_top_logprobs: int | None = None
    """Number of likeliest tokens to report beside each drawn token; None disables log
    probabilities."""

    def __post_init__(self) -> None:
        checks = {
            "max_tokens": self.max_tokens >= 0,
            "temperature": 0 <= self.temperature < float("inf"),
            "top_p": 0 < self.top_p <= 1,
            "top_k": self.top_k >= 0,
            "min_p": 0 <= self.min_p <= 1,
            "frequency_penalty": isfinite(self.frequency_penalty),
            "presence_penalty": isfinite(self.presence_penalty),
            "num_top_logprobs": 0 <= (self.num_top_logprobs or 0) <= MAX_TOP_LOGPROBS,
            "repetition_penalty": 0 < self.repetition_penalty < float("inf"),
            "logit_bias": all(map(isfinite, self.logit_bias.values())),
        }
        _check(self, checks)


def choice_seed(seed: int, choice: int) -> int:
    """Return the seed of one of several choices; the first choice keeps the given seed."""
    if choice == 0:
        return seed
    return int.from_bytes(blake2b(f"{seed}:{choice}".encode(), digest_size=8).digest(), "big")


def _check(params: object, checks: Mapping[str, bool]) -> None:
    for name, is_valid in checks.items():
        if not is_valid:
            raise ValueError(f"{name} is out of range: {getattr(params, name)}")
