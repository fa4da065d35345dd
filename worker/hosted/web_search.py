"""Web searches of the model: run by the configured provider, and worded for the model."""

import logging
from collections.abc import Iterator

from models.chat.prompt import ChatEncoder
from models.responses.record import ResponseRecord
from models.schemas.request.parameters import GenerationParameters
from models.schemas.tools.web_search import WebSearchTool
from models.tools.search_choice import offered_search
from models.tools.web_search import Hit, error_text, place_of, result_text
from worker.hosted.searxng import SearchError, SearchOptions, SearchProvider

logger = logging.getLogger(__name__)


class WebSearcher:
    """Runs searches and words what they find."""

    def __init__(self, provider: SearchProvider | None, encoder: ChatEncoder) -> None:
        """Create a searcher; without a provider every search fails."""
        self._provider = provider
        self._encoder = encoder

    def results(
        self, query: str, record: ResponseRecord, parameters: GenerationParameters, *, first: int
    ) -> Iterator[str]:
        """Search, then yield the text of all hits, of all but the last, and so on.

        The hits are numbered from `first`.
        """
        hits, error = self._search(query, record, parameters)
        if error is not None:
            yield error_text(error, self._encoder.mark)
            return
        for num_hits in range(len(hits), -1, -1):
            yield result_text(hits[:num_hits], first=first, mark=self._encoder.mark)

    def _search(
        self, query: str, record: ResponseRecord, parameters: GenerationParameters
    ) -> tuple[list[Hit], str | None]:
        tool = offered_search(parameters)
        assert tool is not None
        if self._provider is None:
            return [], "no search provider is configured"
        try:
            return self._provider.search(query, search_options(tool)), None
        except SearchError as error:
            fields = {"response_id": record.id.hex, "error": str(error)}
            logger.warning("search failed", extra=fields)
            return [], str(error)


def search_options(tool: WebSearchTool) -> SearchOptions:
    """Return the options of a request's search tool."""
    filters = tool.filters
    return SearchOptions(
        context_size=tool.search_context_size or "medium",
        place=place_of(tool),
        allowed_domains=(filters.allowed_domains if filters else None) or (),
        blocked_domains=(filters.blocked_domains if filters else None) or (),
    )
