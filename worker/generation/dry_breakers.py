"""DRY's sequence breakers as moves of tokens, so that the engine needs no text.

The rule: a breaker occurs wherever its text occurs in the joined texts of the tokens, whichever
tokens spell it. A token may hold all of it, end with its beginning, be a piece of it, or begin with
its end. Texts are compared as UTF-8, for a token may be half a character; a special token has the
text by which it is written.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache

from worker.engine.params import BREAKER_END, BREAKER_START

Moves = Mapping[int, Sequence[tuple[int, int]]]

_MAX_CACHED = 64


class DryBreakerCompiler:
    """Compiles breakers for one vocabulary and keeps the most recent; safe from any thread."""

    def __init__(self, token_texts: Callable[[], Sequence[bytes]]) -> None:
        """`token_texts` takes a second; it is called with the first breakers."""
        self._load = token_texts
        self.moves = lru_cache(maxsize=_MAX_CACHED)(self._compile)
        """From the breakers to `DryParams.breaker_moves`."""

    @cached_property
    def _vocabulary(self) -> "_Vocabulary":
        return _Vocabulary(self._load())

    def _compile(self, breakers: tuple[str, ...]) -> Moves:
        moves: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        first_state = BREAKER_START
        for breaker in dict.fromkeys(breakers):
            text = breaker.encode()
            for token_id, start, end in _moves(text, self._vocabulary):
                # Beginning and end are shared; the places in between are each breaker's own.
                source = first_state + start if start else BREAKER_START
                target = first_state + end if end < len(text) else BREAKER_END
                moves[token_id].append((source, target))
            first_state += len(text)
        return dict(moves)


class _Vocabulary:
    """Finds tokens by what their texts are, begin with, end with or hold."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._texts = texts
        self._forward = sorted((text, index) for index, text in enumerate(texts) if text)
        self._backward = sorted((text[::-1], index) for text, index in self._forward)
        self._by_text: defaultdict[bytes, list[int]] = defaultdict(list)
        for text, index in self._forward:
            self._by_text[text].append(index)

    def holding(self, text: bytes) -> list[int]:
        return [index for index, each in enumerate(self._texts) if text in each]

    def being(self, text: bytes) -> list[int]:
        return self._by_text.get(text, [])

    def beginning_with(self, text: bytes) -> Iterator[int]:
        return _with_prefix(self._forward, text)

    def ending_with(self, text: bytes) -> Iterator[int]:
        return _with_prefix(self._backward, text[::-1])


def _moves(text: bytes, vocabulary: _Vocabulary) -> Iterator[tuple[int, int, int]]:
    """Every token that reads on in a breaker, from which of its bytes and up to which."""
    size = len(text)
    yield from ((each, 0, size) for each in vocabulary.holding(text))
    for place in range(1, size):
        yield from ((each, 0, place) for each in vocabulary.ending_with(text[:place]))
        yield from ((each, place, size) for each in vocabulary.beginning_with(text[place:]))
        for end in range(place + 1, size):
            piece = text[place:end]
            if next(vocabulary.beginning_with(piece), None) is None:
                break
            yield from ((each, place, end) for each in vocabulary.being(piece))


def _with_prefix(ordered: list[tuple[bytes, int]], prefix: bytes) -> Iterator[int]:
    for position in range(bisect_left(ordered, (prefix, -1)), len(ordered)):
        text, index = ordered[position]
        if not text.startswith(prefix):
            return
        yield index
