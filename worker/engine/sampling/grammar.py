"""Grammars: compiled once and cached, matched per sequence, applied to logits as masks.

Built on llguidance directly. outlines' backend for it is not used: it accepts neither the width of
the logits nor several end-of-sequence tokens, and keeps its matchers per batch row.
"""

import os
import resource
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from cachetools import LRUCache
from llguidance import LLExecutor, LLMatcher, LLParserLimits, LLTokenizer
from torch import Tensor

from worker.engine.interface import GrammarCheck
from worker.engine.sampling.device_copy import is_remote, make_row_index, upload

_CACHE_BYTES = 512 << 20
_LEAST_BYTES = 1 << 20
"""Size of a compiled grammar whose memory does not show in that of the process."""
_SIZE = Path("/proc/self/statm")


def _resident_bytes() -> int:
    """Return the memory of this process; 0 where the system does not tell."""
    return int(_SIZE.read_text().split()[1]) * resource.getpagesize() if _SIZE.exists() else 0


@dataclass(frozen=True, slots=True)
class _Compiled:
    matcher: LLMatcher
    num_bytes: int


class Matcher:
    """State of one grammar in one sequence; `error` is permanent once set."""

    def __init__(self, matcher: LLMatcher, num_tokens: int) -> None:
        """Wrap a matcher whose masks have `num_tokens` bits."""
        self.raw = matcher
        self.num_tokens = num_tokens

    @property
    def error(self) -> str | None:
        """Error in the grammar or in the tokens consumed, or None."""
        if not self.raw.is_error():
            return None
        reason = self.raw.get_error().removesuffix("<non-verbose/>").strip()
        return f"The grammar cannot be followed any further: {reason}"

    @property
    def is_stopped(self) -> bool:
        """Return True if no token may follow: the grammar is complete or in error."""
        return self.raw.is_stopped()

    def advance(self, token_ids: Sequence[int]) -> None:
        """Consume generated tokens."""
        self.raw.consume_tokens(list(token_ids))


class GrammarCompiler:
    """Compiler with an LRU cache of grammars; thread-safe."""

    def __init__(
        self,
        load_tokenizer: Callable[[], LLTokenizer],
        limits: Mapping[str, Any],
        *,
        find_error: GrammarCheck = lambda grammar: "",
        cache_bytes: int = _CACHE_BYTES,
        resident_bytes: Callable[[], int] = _resident_bytes,
    ) -> None:
        """Create a compiler.

        `load_tokenizer`, which takes seconds, runs at the first grammar. `find_error` is called
        before a grammar is compiled in this process. The cache holds about `cache_bytes`, by the
        growth of `resident_bytes` while a grammar is compiled.
        """
        self._load_tokenizer = load_tokenizer
        self._find_error = find_error
        # Verbose errors would put the caller's schema into logs.
        self._limits = LLParserLimits(**limits, verbose_errors=False)
        self._tokenizer: LLTokenizer | None = None
        self._tokenizer_lock = Lock()
        self._cache: LRUCache[str, _Compiled] = LRUCache(
            cache_bytes, getsizeof=lambda compiled: compiled.num_bytes
        )
        self._resident_bytes = resident_bytes
        self._compiling = Lock()
        self._cache_lock = Lock()

    def matcher(self, grammar: str) -> Matcher:
        """Return a matcher at the start of the grammar; its `error` is set for an invalid grammar.

        Raises `ValueError` for a grammar that must not be compiled in this process. A new grammar
        may take a second to compile: do not call this on the engine thread.
        """
        with self._cache_lock:
            if grammar in self._cache:
                return self._matcher(self._cache[grammar].matcher.deep_copy())
        compiled = self._compile(grammar)
        if compiled.matcher.is_error():
            return self._matcher(compiled.matcher)
        with self._cache_lock:
            with suppress(ValueError):  # of one that is larger than the cache
                self._cache[grammar] = compiled
            return self._matcher(compiled.matcher.deep_copy())

    def _matcher(self, compiled: LLMatcher) -> Matcher:
        assert self._tokenizer is not None
        return Matcher(compiled, self._tokenizer.vocab_size)

    def _compile(self, grammar: str) -> _Compiled:
        if error := self._find_error(grammar):
            raise ValueError(f"The grammar cannot be compiled: {error}")
        with self._tokenizer_lock:
            if self._tokenizer is None:
                self._tokenizer = self._load_tokenizer()
        # One at a time, so that each is charged with its own memory.
        with self._compiling:
            before = self._resident_bytes()
            matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=self._limits)
            if not matcher.is_error():
                # Some grammars compile but exceed a limit at their first mask: detect this here.
                matcher.compute_bitmask()
            return _Compiled(matcher, max(_LEAST_BYTES, self._resident_bytes() - before))


class GrammarMasker:
    """Mask of the tokens that a grammar forbids, for the rows that have a matcher."""

    def __init__(self, max_rows: int, vocab_size: int) -> None:
        self._max_rows = max_rows
        self._vocab_size = vocab_size
        self._bits = np.zeros((0, 0), dtype=np.int32)
        self._executor = LLExecutor(max(1, (os.cpu_count() or 2) - 1))

    def apply(self, logits: Tensor, matchers: Sequence[Matcher | None]) -> None:
        """Mask the logits [rows, vocab] in place; sets `error` of a matcher that fails."""
        rows = [row for row, matcher in enumerate(matchers) if matcher is not None]
        if not rows:
            return
        raw = [matcher.raw for matcher in matchers if matcher is not None]
        self._resize_bits(next(matcher.num_tokens for matcher in matchers if matcher is not None))
        self._executor.unsafe_compute_mask_ptr(
            [(matcher, index) for index, matcher in enumerate(raw)],
            self._bits.ctypes.data,
            self._bits.shape[1] * self._bits.itemsize,
            len(raw),
        )
        is_allowed = _unpack(self._bits[: len(raw)].view(np.uint8), self._vocab_size, logits.device)
        index = make_row_index(rows, logits.device)
        if isinstance(index, slice):
            logits[index].masked_fill_(~is_allowed, -torch.inf)  # avoids two copies of the logits
        else:
            logits[index] = logits[index].masked_fill(~is_allowed, -torch.inf)

    def _resize_bits(self, num_tokens: int) -> None:
        """Resize the bit masks to cover the vocabularies of both tokenizer and network.

        Either may have tokens that the other lacks.
        """
        num_words = -(-max(num_tokens, self._vocab_size) // 32)
        if self._bits.shape[1] != num_words:
            self._bits = np.zeros((self._max_rows, num_words), dtype=np.int32)


def _unpack(bits: np.ndarray, vocab_size: int, device: torch.device) -> Tensor:
    """Unpack bits [rows, bytes], least significant first, to bool [rows, vocab] on the device."""
    if not is_remote(device):
        allowed = np.unpackbits(bits, axis=1, count=vocab_size, bitorder="little")
        return torch.from_numpy(allowed.view(np.bool_))
    return unpack_on_device(upload(torch.from_numpy(bits), device), vocab_size)


def unpack_on_device(bits: Tensor, vocab_size: int) -> Tensor:
    """Unpack bits [rows, bytes] on their device: an eighth of the bytes has to be uploaded."""
    shifts = torch.arange(8, dtype=torch.uint8, device=bits.device)
    allowed = (bits[:, :, None] >> shifts) & 1
    return allowed.flatten(1)[:, :vocab_size].bool()
