"""DRY sequence breakers compiled to token transitions, so that the engine needs no text.

A breaker occurs wherever its text occurs in the concatenated texts of the tokens, however the
tokens divide it. A token may contain all of it, end with its beginning, be a piece of it, or begin
with its end. Texts are compared as UTF-8 bytes, because a token may be part of a character; the
text of a special token is its name in the vocabulary.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache

from worker.engine.params import BREAKER_END, BREAKER_START

Moves = Mapping[int, Sequence[tuple[int, int]]]
"""Transitions (source state, target state) by token id."""

_MAX_CACHED = 64


class DryBreakerCompiler:
    """Compiles breakers for one vocabulary and caches the most recent; safe from any thread."""

    def __init__(self, token_texts: Callable[[], Sequence[bytes]]) -> None:
        """Defer `token_texts`, which takes a second, until the first breakers are compiled."""
        self._load = token_texts
        self.moves = lru_cache(maxsize=_MAX_CACHED)(self._compile)
        """Cached function from a tuple of breakers to `DryParams.breaker_moves`."""

    @cached_property
    def _vocabulary(self) -> "_Vocabulary":
        return _Vocabulary(self._load())

    def _compile(self, breakers: tuple[str, ...]) -> Moves:
        moves: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        first_state = BREAKER_START
        for breaker in dict.fromkeys(breakers):
            text = breaker.encode()
            for token_id, start, end in _find_moves(text, self._vocabulary):
                # Breakers share the start and end states; each has intermediate states of its own.
                source = first_state + start if start else BREAKER_START
                target = first_state + end if end < len(text) else BREAKER_END
                moves[token_id].append((source, target))
            first_state += len(text)
        return dict(moves)


class _Vocabulary:
    """Index of tokens by their whole text, prefix, suffix and substring."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._texts = texts
        self._forward = sorted((text, index) for index, text in enumerate(texts) if text)
        self._backward = sorted((text[::-1], index) for text, index in self._forward)
        self._by_text: defaultdict[bytes, list[int]] = defaultdict(list)
        for text, index in self._forward:
            self._by_text[text].append(index)

    def find_containing(self, text: bytes) -> list[int]:
        return [index for index, token in enumerate(self._texts) if text in token]

    def find_equal(self, text: bytes) -> list[int]:
        return self._by_text.get(text, [])

    def find_starting_with(self, text: bytes) -> Iterator[int]:
        return _find_prefixed(self._forward, text)

    def find_ending_with(self, text: bytes) -> Iterator[int]:
        return _find_prefixed(self._backward, text[::-1])


def _find_moves(text: bytes, vocabulary: _Vocabulary) -> Iterator[tuple[int, int, int]]:
    """Yield (token id, start, end) for each token that covers these bytes of a breaker."""
    size = len(text)
    yield from ((index, 0, size) for index in vocabulary.find_containing(text))
    for start in range(1, size):
        yield from ((index, 0, start) for index in vocabulary.find_ending_with(text[:start]))
        yield from ((index, start, size) for index in vocabulary.find_starting_with(text[start:]))
        for end in range(start + 1, size):
            piece = text[start:end]
            if next(vocabulary.find_starting_with(piece), None) is None:
                break
            yield from ((index, start, end) for index in vocabulary.find_equal(piece))


def _find_prefixed(ordered: list[tuple[bytes, int]], prefix: bytes) -> Iterator[int]:
    for position in range(bisect_left(ordered, (prefix, -1)), len(ordered)):
        text, index = ordered[position]
        if not text.startswith(prefix):
            return
        yield index
