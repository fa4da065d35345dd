"""Where an answer cites what was found: `[3]` stands for the third hit."""

import re
from collections.abc import Sequence

from models.schemas.parts import UrlCitation
from models.tools.web_search import Hit

_MARK = re.compile(r"\[(\d{1,3})\]")
_LONGEST = len("[123]")


class Citations:
    """Finds marks in the text of a message as it grows."""

    def __init__(self) -> None:
        self.hits: list[Hit] = []
        """By their numbers, from 1."""
        self._tail, self._start = "", 0

    def add_hits(self, hits: Sequence[Hit]) -> None:
        """More hits; their numbers go on."""
        self.hits += hits

    def begin(self) -> None:
        """Another message begins."""
        self._tail, self._start = "", 0

    def add(self, text: str) -> list[UrlCitation]:
        """The citations that more text of the message completes."""
        window, done, found = self._tail + text, 0, []
        for mark in _MARK.finditer(window):
            done = mark.end()
            if 1 <= int(mark[1]) <= len(self.hits):
                found.append(self._citation(mark))
        kept = max(done, len(window) - _LONGEST)
        self._tail, self._start = window[kept:], self._start + kept
        return found

    def _citation(self, mark: re.Match[str]) -> UrlCitation:
        hit = self.hits[int(mark[1]) - 1]
        return UrlCitation(
            start_index=self._start + mark.start(),
            end_index=self._start + mark.end(),
            url=hit.url,
            title=hit.title,
        )
