"""Names of JSON objects that are written already, and the tokens that would repeat one.

No grammar can express that the names of an object differ (RFC 8259 §4), so the tokens that would
complete a name a second time are taken from the mask.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from llguidance import LLMatcher

from worker.engine.sampling.json_state import JsonReader, JsonState, Names, Place


class TokenQuotes:
    """Tokens of a vocabulary, sorted by the quotation marks that they contain."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        """Sort the tokens; `texts` has the bytes of each."""
        self.texts = texts
        self.by_text = {text: token_id for token_id, text in enumerate(texts)}
        self.by_start: dict[bytes, list[int]] = defaultdict(list)
        """Tokens by the bytes before their first quotation mark, which may complete a name."""
        self._by_quoted: dict[bytes, list[int]] = defaultdict(list)
        """Tokens by what they have between quotation marks, which may be a whole name."""
        self.escaping: list[int] = []
        """Tokens with a quotation mark and an escape."""
        self.quoting = [token_id for token_id, text in enumerate(texts) if b'"' in text]
        """Tokens with a quotation mark."""
        commas = [token_id for token_id, text in enumerate(texts) if b"," in text]
        self.separating = list({*self.quoting, *commas})
        """Tokens with a quotation mark or a comma."""
        for token_id in self.quoting:
            self._sort(token_id, texts[token_id])

    def with_names(self, open_names: Iterable[Names]) -> frozenset[int]:
        """Return the tokens that contain one of some names, or an escape, in quotation marks."""
        names = {name for names in open_names for name in names or ()}
        found = (self._by_quoted.get(name, ()) for name in names)
        escaping = (token for token in self.escaping if self.texts[token].count(b'"') > 1)
        return frozenset(escaping).union(*found)

    def _sort(self, token_id: int, text: bytes) -> None:
        if b"\\" in text:
            self.escaping.append(token_id)
            return
        start, *quoted, _ = text.split(b'"')
        self.by_start[start].append(token_id)
        for name in quoted:
            self._by_quoted[name].append(token_id)


class JsonNames:
    """Names that one output has written in the objects that are open."""

    def __init__(
        self,
        tokens: TokenQuotes,
        opener: str = "",
        closer: str | int = "",
        *,
        begins_free: bool = False,
    ) -> None:
        """Begin an output that is JSON, but for free text from an opener to a closer.

        The closer is a text or a token; `begins_free` is True if the output begins with free text.
        """
        self._tokens = tokens
        end = tokens.texts[closer] if isinstance(closer, int) else closer.encode()
        self._reader = JsonReader(opener.encode(), end)
        place = Place.FREE if begins_free else Place.OUTSIDE
        self._state: JsonState | None = JsonState(place)
        """None once a name was repeated all the same: no other token was allowed."""
        self._within: tuple[tuple[Names, ...], frozenset[int]] = ((), frozenset())
        """Objects that were open last, and the tokens that contain one of their names."""

    def advance(self, token_ids: Iterable[int]) -> None:
        """Read generated tokens."""
        for token_id in token_ids:
            self._state = self._read(self._state, token_id)

    def clear_repetitions(self, bits: np.ndarray, matcher: LLMatcher | None = None) -> None:
        """Clear the bits [bytes], least significant first, of tokens that would repeat a name.

        With a matcher of a grammar that restricts names, those are cleared, too, after which only
        names could follow that are written already. If no other token is allowed, the bits stay as
        they are.
        """
        state = self._state
        if state is None or not any(state.open):
            return
        repeating = [
            token_id
            for token_id in self._candidates(state)
            if _is_set(bits, token_id) and self._read(state, token_id) is None
        ]
        if matcher is not None:
            repeating += [
                token_id
                for token_id in self._beginnings(state)
                if _is_set(bits, token_id) and self._is_dead_end(state, token_id, matcher)
            ]
        if repeating:
            _clear(bits, repeating)

    def _candidates(self, state: JsonState) -> Iterable[int]:
        """Return the tokens that might repeat a name."""
        if state.place is Place.NAME and b"\\" in state.text:
            return self._tokens.quoting
        if self._within[0] is not state.open:
            self._within = (state.open, self._tokens.with_names(state.open))
        candidates = self._within[1]
        if state.place is Place.NAME:
            candidates = candidates.union(
                self._tokens.escaping,
                *(self._tokens.by_start.get(rest, ()) for rest in state.rests()),
            )
        return candidates

    def _beginnings(self, state: JsonState) -> Sequence[int]:
        """Return the tokens after which a name may begin like one that was written before."""
        if state.place is not Place.NAME:
            return self._tokens.separating
        texts = {rest[:end] for rest in state.rests() for end in range(1, len(rest) + 1)}
        return [self._tokens.by_text[text] for text in texts if text in self._tokens.by_text]

    def _is_dead_end(self, state: JsonState, token_id: int, matcher: LLMatcher) -> bool:
        """Return True if after a token all names that a grammar allows are written already."""
        pending, seen = [(state, token_id, matcher)], set()
        while pending:
            before, token_id, matcher = pending.pop()
            after = self._read(before, token_id)
            if after is None:
                continue
            if not after.may_repeat():
                return False
            if after not in seen:
                seen.add(after)
                matcher = matcher.deep_copy()
                matcher.consume_token(token_id)
                mask = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
                allowed = np.flatnonzero(np.unpackbits(mask, bitorder="little"))
                pending += [(after, int(allowed_id), matcher) for allowed_id in allowed]
        return True

    def _read(self, state: JsonState | None, token_id: int) -> JsonState | None:
        """Return the state after a token; None if it repeats a name."""
        return self._reader.read(state, self._tokens.texts[token_id])


def _is_set(bits: np.ndarray, token_id: int) -> bool:
    return bool(bits[token_id >> 3] >> (token_id & 7) & 1)


def _clear(bits: np.ndarray, token_ids: Iterable[int]) -> None:
    """Clear some bits, unless none would be left."""
    before = bits.copy()
    for token_id in token_ids:
        bits[token_id >> 3] &= ~np.uint8(1 << (token_id & 7))
    if not bits.any():
        bits[:] = before
