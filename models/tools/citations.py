"""Citations of search results in an answer: `[3]` cites the third hit."""

import re
from collections.abc import Sequence

from models.schemas.parts import UrlCitation
from models.tools.web_search import Hit

_MARK = re.compile(r"\[(\d{1,3})\]")
_LONGEST = len("[123]")


class Citations:
    """Incremental search for citation marks in the text of a message."""

    def __init__(self) -> None:
        self.hits: list[Hit] = []
        """All hits of the response; the mark `[1]` cites the first."""
        self._tail, self._start = "", 0

    def add_hits(self, hits: Sequence[Hit]) -> None:
        """Append hits, numbered after the previous ones."""
        self.hits += hits

    def begin(self) -> None:
        """Start the next message: positions count from its beginning."""
        self._tail, self._start = "", 0

    def add(self, text: str) -> list[UrlCitation]:
        """Append text to the message; return the citations that it completes."""
        window, end, citations = self._tail + text, 0, []
        for mark in _MARK.finditer(window):
            end = mark.end()
            if 1 <= int(mark[1]) <= len(self.hits):
                citations.append(self._citation(mark))
        cut = max(end, len(window) - _LONGEST)
        self._tail, self._start = window[cut:], self._start + cut
        return citations

    def _citation(self, mark: re.Match[str]) -> UrlCitation:
        hit = self.hits[int(mark[1]) - 1]
        return UrlCitation(
            start_index=self._start + mark.start(),
            end_index=self._start + mark.end(),
            url=hit.url,
            title=hit.title,
        )
