"""Check that a grammar can be followed with the served model's tokenizer, within fixed bounds.

A grammar that passes compiles, is enforced completely, and its first token masks can be computed.
The compiler runs in a child process (`models/grammars/isolation/`): its limits do not bound all of
its work.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from threading import Lock, Thread

import outlines.types  # noqa: F401 - early, so that the first request with a schema does not wait
from cachetools import LRUCache
from transformers import PreTrainedTokenizerFast

from models.errors import AppError
from models.grammars.compile import refusal
from models.grammars.isolation.pool import GrammarPool, Task, TooExpensiveError, shared_pool
from models.grammars.isolation.tokenizer_file import TokenizerFile
from models.grammars.tokenizer import TOKEN_SLICES, rename_special_tokens
from models.metrics.recorder import RECORDER
from models.metrics.table import GRAMMAR_COMPILE

_MAX_CACHED = 1024
_EXPENSIVE = "compiling it"
_SMALL_GRAMMAR = '{"grammars":[{"lark_grammar":"start: /a/"}]}'


class GrammarChecker:
    """Check of grammars against the tokenizer of the served model; caches its results."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        pool: GrammarPool | None = None,
        *,
        leniency: float = 1.0,
    ) -> None:
        """Create a checker.

        Grammars are compiled in `pool`, by default that of the process, within its bounds times
        `leniency`.
        """
        self._leniency = leniency
        self._tokenizer = TokenizerFile(
            rename_special_tokens(tokenizer), tokenizer.eos_token_id, TOKEN_SLICES
        )
        self._pool = pool or shared_pool()
        self._errors: LRUCache[bytes, str] = LRUCache(_MAX_CACHED)
        self._lock = Lock()

    def start_warm_up(self) -> None:
        """Start loading the tokenizer for the compiler, so that the first grammar need not wait."""
        Thread(target=self._warm_up, name="grammar-warm-up", daemon=True).start()

    def check(
        self, grammar: str, *, param: str, is_abandoned: Callable[[], bool] = lambda: False
    ) -> None:
        """Raise `InvalidRequestError` with the compiler's message if the grammar is unusable.

        Raises `AbandonedError` once `is_abandoned` returns True, and `OverloadedError` if too many
        grammars are being compiled.
        """
        if error := self.find_error(grammar, is_abandoned=is_abandoned):
            raise refusal(error, param, is_expensive=error.startswith(_EXPENSIVE))

    def find_error(self, grammar: str, *, is_abandoned: Callable[[], bool] = lambda: False) -> str:
        """Return why a grammar is unusable, or an empty string."""
        key = blake2b(grammar.encode()).digest()
        with self._lock:
            if key in self._errors:
                return self._errors[key]
        began = time.monotonic()
        try:
            error: str = self._pool.run(
                Task(name="follow", grammar=grammar, tokenizer=self._tokenizer),
                leniency=self._leniency,
                is_abandoned=is_abandoned,
            )
        except TooExpensiveError as expense:
            # Not cached: how long it takes depends on the machine's other load, too.
            return f"{_EXPENSIVE} {expense}"
        finally:
            RECORDER.observe(GRAMMAR_COMPILE, time.monotonic() - began, "llguidance")
        with self._lock:
            self._errors[key] = error
        return error

    def _warm_up(self) -> None:
        with suppress(AppError):
            self.find_error(_SMALL_GRAMMAR)
