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

from worker.engine.interface import GrammarCheck, JsonOutput
from worker.engine.sampling.device_copy import is_remote, make_row_index, upload
from worker.engine.sampling.json_names import JsonNames, TokenQuotes

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

    def __init__(
        self,
        matcher: LLMatcher,
        num_tokens: int,
        json_names: JsonNames | None = None,
        *,
        restricts_names: bool = False,
    ) -> None:
        """Wrap a matcher whose masks have `num_tokens` bits.

        `restricts_names` is True if free names of objects must match a pattern.
        """
        self.raw = matcher
        self.num_tokens = num_tokens
        self._json_names = json_names
        self._restricts_names = restricts_names

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
        if self._json_names is not None:
            self._json_names.advance(token_ids)

    def restrict(self, bits: np.ndarray) -> None:
        """Clear the bits [bytes] of tokens that the grammar allows, but JSON does not."""
        if self._json_names is not None:
            self._json_names.clear_repetitions(bits, self.raw if self._restricts_names else None)


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
        self._quotes: TokenQuotes | None = None
        self._tokenizer_lock = Lock()
        self._cache: LRUCache[str, _Compiled] = LRUCache(
            cache_bytes, getsizeof=lambda compiled: compiled.num_bytes
        )
        self._resident_bytes = resident_bytes
        self._compiling = Lock()
        self._cache_lock = Lock()

    def matcher(self, grammar: str, json: JsonOutput | None = None) -> Matcher:
        """Return a matcher at the start of the grammar; its `error` is set for an invalid grammar.

        `json` says where the output is JSON, whose objects then have no name twice.

        Raises `ValueError` for a grammar that must not be compiled in this process. A new grammar
        may take a second to compile: do not call this on the engine thread.
        """
        with self._cache_lock:
            if grammar in self._cache:
                return self._matcher(self._cache[grammar].matcher.deep_copy(), grammar, json)
        compiled = self._compile(grammar)
        if compiled.matcher.is_error():
            return self._matcher(compiled.matcher, grammar, json)
        with self._cache_lock:
            with suppress(ValueError):  # of one that is larger than the cache
                self._cache[grammar] = compiled
            return self._matcher(compiled.matcher.deep_copy(), grammar, json)

    def _matcher(self, compiled: LLMatcher, grammar: str, json: JsonOutput | None) -> Matcher:
        assert self._tokenizer is not None
        assert self._quotes is not None
        names = (
            JsonNames(self._quotes, json.opener, json.closer, begins_free=json.begins_free)
            if json is not None
            else None
        )
        restricts_names = '"patternProperties"' in grammar
        num_tokens = self._tokenizer.vocab_size
        return Matcher(compiled, num_tokens, names, restricts_names=restricts_names)

    def _compile(self, grammar: str) -> _Compiled:
        if error := self._find_error(grammar):
            raise ValueError(f"The grammar cannot be compiled: {error}")
        with self._tokenizer_lock:
            if self._tokenizer is None:
                tokenizer = self._load_tokenizer()
                self._quotes = TokenQuotes(token_texts(tokenizer))
                self._tokenizer = tokenizer
        # One at a time, so that each is charged with its own memory.
        with self._compiling:
            before = self._resident_bytes()
            matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=self._limits)
            if not matcher.is_error():
                # Some grammars compile but exceed a limit at their first mask: detect this here.
                matcher.compute_bitmask()
            return _Compiled(matcher, max(_LEAST_BYTES, self._resident_bytes() - before))


def token_texts(tokenizer: LLTokenizer) -> list[bytes]:
    """Return the bytes of each token."""
    return [tokenizer.decode_bytes([token_id]) for token_id in range(tokenizer.vocab_size)]


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
        constrained = [matcher for matcher in matchers if matcher is not None]
        self._resize_bits(constrained[0].num_tokens)
        self._executor.unsafe_compute_mask_ptr(
            [(matcher.raw, index) for index, matcher in enumerate(constrained)],
            self._bits.ctypes.data,
            self._bits.shape[1] * self._bits.itemsize,
            len(constrained),
        )
        bits = self._bits[: len(constrained)].view(np.uint8)
        for matcher, row_bits in zip(constrained, bits, strict=True):
            matcher.restrict(row_bits)
        is_allowed = _unpack(bits, self._vocab_size, logits.device)
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
