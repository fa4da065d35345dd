"""Grammars: compiled once and cached, matched per sequence, applied as masks to logits.

llguidance does the work. outlines' backend for it is not used: it knows neither the width of the
logits nor more than one end token, and keeps its matchers per batch row.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch
from llguidance import LLExecutor, LLMatcher, LLParserLimits, LLTokenizer
from torch import Tensor

from worker.engine.sampling.device_copy import is_remote, rows_at, upload

MASK_SLICES = [
    *LLTokenizer.json_slices(),
    *(r"[a-z]{1,24}", r"[a-z ]{1,24}", r"[a-zA-Z ]{1,24}"),
]
"""Where a grammar allows all that matches one of these, its tokens are not tried one by one. The
library's own are for strings of JSON; with those of plain text a mask of `[a-zA-Z ,.]{1000}` takes
0.02 ms instead of 0.5."""


class Matcher:
    """The state of one grammar in one sequence; a fault shows in `error` and stays there."""

    def __init__(self, matcher: LLMatcher, num_tokens: int) -> None:
        """`num_tokens` is the length of its masks."""
        self.raw = matcher
        self.num_tokens = num_tokens

    @property
    def error(self) -> str | None:
        """What is wrong with the grammar or the tokens it was given, if anything is."""
        if not self.raw.is_error():
            return None
        reason = self.raw.get_error().removesuffix("<non-verbose/>").strip()
        return f"The grammar cannot be followed any further: {reason}"

    @property
    def is_stopped(self) -> bool:
        """Whether nothing may follow: the grammar is complete or in error."""
        return self.raw.is_stopped()

    def advance(self, token_ids: Sequence[int]) -> None:
        """Consume tokens that were generated."""
        self.raw.consume_tokens(list(token_ids))


class GrammarCompiler:
    """Compiles grammars and keeps the most recent; safe from any thread."""

    def __init__(
        self,
        load_tokenizer: Callable[[], LLTokenizer],
        limits: Mapping[str, Any],
        *,
        cache_size: int = 64,
    ) -> None:
        """`load_tokenizer` takes seconds; it is called once, with the first grammar."""
        self._load_tokenizer = load_tokenizer
        # Verbose errors would carry the caller's schema into logs.
        self._limits = LLParserLimits(**limits, verbose_errors=False)
        self._tokenizer: LLTokenizer | None = None
        self._tokenizer_lock = Lock()
        self._cache_size = cache_size
        self._cache: OrderedDict[str, LLMatcher] = OrderedDict()
        self._cache_lock = Lock()

    def matcher(self, grammar: str) -> Matcher:
        """Return a matcher at the grammar's start, in error if the grammar is no good.

        May take a second for a new grammar, so never call it on the engine thread.
        """
        with self._cache_lock:
            if grammar in self._cache:
                self._cache.move_to_end(grammar)
                return self._matcher(self._cache[grammar].deep_copy())
        compiled = self._compile(grammar)
        if compiled.is_error():
            return self._matcher(compiled)
        with self._cache_lock:
            self._cache[grammar] = compiled
            if len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
            return self._matcher(compiled.deep_copy())

    def _matcher(self, compiled: LLMatcher) -> Matcher:
        assert self._tokenizer is not None
        return Matcher(compiled, self._tokenizer.vocab_size)

    def _compile(self, grammar: str) -> LLMatcher:
        with self._tokenizer_lock:
            if self._tokenizer is None:
                self._tokenizer = self._load_tokenizer()
        compiled = LLMatcher(self._tokenizer, grammar, log_level=0, limits=self._limits)
        if not compiled.is_error():
            # Some grammars compile and then explode at their first mask: find out here.
            compiled.compute_bitmask()
        return compiled


class GrammarMasker:
    """Forbids, in the rows that have a matcher, the tokens that their grammar does not allow."""

    def __init__(self, max_rows: int, vocab_size: int) -> None:
        self._max_rows = max_rows
        self._vocab_size = vocab_size
        self._bits = np.zeros((0, 0), dtype=np.int32)
        self._executor = LLExecutor(max(1, (os.cpu_count() or 2) - 1))

    def apply(self, logits: Tensor, matchers: Sequence[Matcher | None]) -> None:
        """Mask the logits [rows, vocab] in place; a matcher may be in error afterwards."""
        rows = [row for row, matcher in enumerate(matchers) if matcher is not None]
        if not rows:
            return
        raw = [matcher.raw for matcher in matchers if matcher is not None]
        self._make_room(next(matcher.num_tokens for matcher in matchers if matcher is not None))
        self._executor.unsafe_compute_mask_ptr(
            [(matcher, index) for index, matcher in enumerate(raw)],
            self._bits.ctypes.data,
            self._bits.shape[1] * self._bits.itemsize,
            len(raw),
        )
        is_allowed = _unpack(self._bits[: len(raw)].view(np.uint8), self._vocab_size, logits.device)
        at = rows_at(rows, logits.device)
        if isinstance(at, slice):
            logits[at].masked_fill_(~is_allowed, -torch.inf)  # without two copies of the scores
        else:
            logits[at] = logits[at].masked_fill(~is_allowed, -torch.inf)

    def _make_room(self, num_tokens: int) -> None:
        """A tokenizer may know tokens that the network does not score, and the other way round."""
        num_words = -(-max(num_tokens, self._vocab_size) // 32)
        if self._bits.shape[1] != num_words:
            self._bits = np.zeros((self._max_rows, num_words), dtype=np.int32)


def _unpack(bits: np.ndarray, vocab_size: int, device: torch.device) -> Tensor:
    """Return bits [rows, bytes], the lowest of each byte first, as bool [rows, vocab]."""
    if not is_remote(device):
        allowed = np.unpackbits(bits, axis=1, count=vocab_size, bitorder="little")
        return torch.from_numpy(allowed.view(np.bool_))
    return unpack_there(upload(torch.from_numpy(bits), device), vocab_size)


def unpack_there(bits: Tensor, vocab_size: int) -> Tensor:
    """The same of bits on any device: an eighth of what is unpacked has to go there."""
    shifts = torch.arange(8, dtype=torch.uint8, device=bits.device)
    allowed = (bits[:, :, None] >> shifts) & 1
    return allowed.flatten(1)[:, :vocab_size].bool()
