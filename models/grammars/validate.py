"""Check that a grammar can be followed with the served model's tokenizer, within fixed limits.

A grammar that passes compiles, is enforced completely, and its first token masks can be computed.
The check follows it for 3 tokens, or up to 64 if that is cheap, since the state of some grammars
grows exponentially only later. It picks the longest tokens, which get there soonest: the limits on
`(a{1,1000}){1,1000}` are reached after a few hundred characters. A grammar that exceeds the limits
still later fails its own response, with an error that says so.
"""

import time
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

import llguidance
import numpy as np
import outlines.types  # noqa: F401 - early, so that the first request with a schema does not wait
from transformers import PreTrainedTokenizerFast

from models.grammars.compile import refusal
from models.grammars.tokenizer import grammar_tokenizer

GRAMMAR_LIMITS: Mapping[str, Any] = {
    "initial_lexer_fuel": 300_000,
    "step_lexer_fuel": 200_000,
    "step_max_items": 20_000,
    "max_grammar_size": 50_000,
    "max_lexer_states": 20_000,
}
"""Limits of one grammar, here and in the engine; the worst measured takes 0.8 s and 80 MB."""

PROBE_STEPS = 64
"""Maximum number of tokens that a grammar is followed for."""
MIN_PROBE_STEPS = 3
"""Minimum number of tokens that a grammar is followed for, however long it takes."""
PROBE_CPU_S = 0.4
"""CPU seconds after which a grammar is not followed beyond the minimum."""

_MAX_CHECKED = 64
_MAX_MESSAGE = 500
_CLEARER = {"NoExtensionBias": "there is no output that it allows"}


class GrammarChecker:
    """Check of grammars against the tokenizer of the served model; caches its results."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = grammar_tokenizer(tokenizer)
        # Verbose errors would put parts of a client's schema into logs.
        self._limits = llguidance.LLParserLimits(**GRAMMAR_LIMITS, verbose_errors=False)
        self._first_error = lru_cache(maxsize=_MAX_CHECKED)(self._compile)

    def check(self, grammar: str, *, param: str) -> None:
        """Raise `InvalidRequestError` with the compiler's message if the grammar is unusable."""
        error = self._first_error(grammar)
        if error:
            raise refusal(error, param)

    def _compile(self, grammar: str) -> str:
        matcher: Any = llguidance.LLMatcher(
            self._tokenizer, grammar, limits=self._limits, log_level=0
        )
        # Options in a schema can turn errors into warnings; here every warning is an error.
        if warnings := matcher.get_grammar_warnings():
            return str(warnings[0])[:_MAX_MESSAGE]
        self._follow(matcher)
        if not matcher.is_error():
            return ""
        error = str(matcher.get_error()).removesuffix("<non-verbose/>").strip()
        return _CLEARER.get(error, error)[:_MAX_MESSAGE]

    def _follow(self, matcher: Any) -> None:
        """Feed allowed tokens until the grammar ends, fails, or has been followed long enough."""
        deadline = time.thread_time() + PROBE_CPU_S
        for step in range(PROBE_STEPS):
            is_late = step >= MIN_PROBE_STEPS and time.thread_time() > deadline
            if is_late or matcher.is_error():
                return
            mask = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
            allowed = np.flatnonzero(np.unpackbits(mask, bitorder="little"))
            non_final = np.setdiff1d(allowed, self._tokenizer.eos_tokens)
            if not non_final.size:
                return
            matcher.consume_token(int(non_final[self._token_sizes[non_final].argmax()]))

    @cached_property
    def _token_sizes(self) -> np.ndarray:
        """Length of every token in bytes, by token id; int32, shape (vocab_size,)."""
        tokens = self._tokenizer
        sizes = [len(tokens.decode_bytes([token])) for token in range(tokens.vocab_size)]
        return np.array(sizes, dtype=np.int32)
