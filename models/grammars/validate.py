"""Whether a grammar can be followed with the served model's tokenizer, within fixed limits.

What is guaranteed of a grammar that passes: it compiles, all that it says is enforced, and its
first masks can be computed: it is followed for three tokens, or up to 64 if that is cheap, because
some grammars explode only at a later one. The longest tokens lead there soonest: the limits on
`(a{1,1000}){1,1000}` are reached after some hundred characters. One that explodes still later
fails its own response, with an error that says so.
"""

import time
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

import llguidance
import llguidance.hf
import numpy as np
import outlines.types  # noqa: F401 - now, so that the first request with a schema need not wait
from transformers import PreTrainedTokenizerFast

from models.grammars.compile import refusal

GRAMMAR_LIMITS: Mapping[str, Any] = {
    "initial_lexer_fuel": 300_000,
    "step_lexer_fuel": 200_000,
    "step_max_items": 20_000,
    "max_grammar_size": 50_000,
    "max_lexer_states": 20_000,
}
"""Bounds on one grammar, here and in the engine; measured: 0.8 s and 80 MB for the worst."""

PROBE_STEPS = 64
MIN_PROBE_STEPS = 3
PROBE_CPU_S = 0.4
"""Tokens that a grammar is followed for: the fewest always, more only while time is left."""

_MAX_CHECKED = 64
_MAX_MESSAGE = 500
_CLEARER = {"NoExtensionBias": "there is no output that it allows"}


class GrammarChecker:
    """Says whether a grammar works with the tokenizer of the served model."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = llguidance.hf.from_tokenizer(tokenizer)
        # Verbose errors would carry parts of a client's schema into logs.
        self._limits = llguidance.LLParserLimits(**GRAMMAR_LIMITS, verbose_errors=False)
        self._first_error = lru_cache(maxsize=_MAX_CHECKED)(self._compile)

    def check(self, grammar: str, *, param: str) -> None:
        """Raise a 400 with the compiler's message if the grammar cannot be followed."""
        error = self._first_error(grammar)
        if error:
            raise refusal(error, param)

    def _compile(self, grammar: str) -> str:
        matcher: Any = llguidance.LLMatcher(
            self._tokenizer, grammar, limits=self._limits, log_level=0
        )
        # Options within a schema can turn refusals into warnings; here nothing is ignored.
        if warnings := matcher.get_grammar_warnings():
            return str(warnings[0])[:_MAX_MESSAGE]
        self._follow(matcher)
        if not matcher.is_error():
            return ""
        error = str(matcher.get_error()).removesuffix("<non-verbose/>").strip()
        return _CLEARER.get(error, error)[:_MAX_MESSAGE]

    def _follow(self, matcher: Any) -> None:
        """Take allowed tokens until the grammar ends, fails, or has been tried enough."""
        deadline = time.thread_time() + PROBE_CPU_S
        for step in range(PROBE_STEPS):
            is_late = step >= MIN_PROBE_STEPS and time.thread_time() > deadline
            if is_late or matcher.is_error():
                return
            mask = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
            allowed = np.flatnonzero(np.unpackbits(mask, bitorder="little"))
            going_on = np.setdiff1d(allowed, self._tokenizer.eos_tokens)
            if not going_on.size:
                return
            matcher.consume_token(int(going_on[self._token_sizes[going_on].argmax()]))

    @cached_property
    def _token_sizes(self) -> np.ndarray:
        """Bytes of every token, by its id."""
        tokens = self._tokenizer
        sizes = [len(tokens.decode_bytes([each])) for each in range(tokens.vocab_size)]
        return np.array(sizes, dtype=np.int32)
