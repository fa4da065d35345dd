"""Between two turns of a response: what its model searches for is found and put before it."""

import logging

from models.chat.prompt import ChatEncoder
from models.responses.record import ResponseRecord
from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.tools import WebSearchTool
from models.tools.web_search import Hit, error_text, offered_search, place_of, result_text
from worker.engine.interface import FinishReason
from worker.generation.choice import Choice
from worker.generation.generation import Generation
from worker.generation.searxng import SearchError, SearchOptions, SearchProvider

logger = logging.getLogger(__name__)

ROOM = 16
"""Tokens that are left for what a model says of what was found; else it is told less."""


class WebSearcher:
    """Searches for whatever a generation waits for, on the thread of its task."""

    def __init__(self, provider: SearchProvider | None, encoder: ChatEncoder) -> None:
        """Without a provider every search fails."""
        self._provider = provider
        self._encoder = encoder

    def tell_all(
        self, generation: Generation, parameters: GenerationParameters, num_prompt_tokens: int
    ) -> None:
        """Search for each choice that waits, and tell it; it is given up if that is not wanted."""
        for choice in generation.waiting:
            if generation.is_interrupted:
                return
            hits, error = self._search(generation.stored, choice, parameters)
            if generation.is_interrupted:
                return
            taken = num_prompt_tokens + len(generation.tokens_of(choice))
            told = self._fitting(choice, hits, error, parameters, taken)
            if told is None:
                choice.cut(FinishReason.LENGTH)
            else:
                generation.give(choice, told)

    def _search(
        self, stored: ResponseRecord, choice: Choice, parameters: GenerationParameters
    ) -> tuple[list[Hit], str | None]:
        tool = offered_search(parameters)
        assert tool is not None
        assert choice.query is not None
        if self._provider is None:
            return [], "no search provider is configured"
        try:
            return self._provider.search(choice.query, options_of(tool)), None
        except SearchError as error:
            about = {"response_id": stored.id.hex, "error": str(error)}
            logger.warning("search failed", extra=about)
            return [], str(error)

    def _fitting(
        self,
        choice: Choice,
        hits: list[Hit],
        error: str | None,
        parameters: GenerationParameters,
        taken: int,
    ) -> list[int] | None:
        """The result as tokens, of as many hits as there is room for; None if there is for none."""
        while True:
            text = error_text(error) if error else result_text(hits, first=choice.num_found + 1)
            token_ids = self._encoder.encode_result(text, parameters.effort)
            if taken + len(token_ids) + ROOM <= self._encoder.context_length:
                return token_ids
            if not hits:
                return None
            hits = hits[:-1]


def options_of(tool: WebSearchTool) -> SearchOptions:
    """How a request wants the web to be searched."""
    filters = tool.filters
    return SearchOptions(
        context_size=tool.search_context_size or "medium",
        place=place_of(tool),
        allowed_domains=(filters.allowed_domains if filters else None) or (),
        blocked_domains=(filters.blocked_domains if filters else None) or (),
    )
