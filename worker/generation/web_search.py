"""Web searches between two turns of a response: run them and encode their results."""

import logging
from contextlib import suppress

from models.chat.prompt import ChatEncoder
from models.chat.prompt_tokenizer import PromptTooLongError
from models.responses.record import ResponseRecord
from models.schemas.request.parameters import GenerationParameters
from models.schemas.tools.web_search import WebSearchTool
from models.tools.web_search import Hit, error_text, offered_search, place_of, result_text
from worker.engine.interface import FinishReason
from worker.generation.choice import Choice
from worker.generation.generation import Generation
from worker.generation.searxng import SearchError, SearchOptions, SearchProvider

logger = logging.getLogger(__name__)

MIN_ANSWER_TOKENS = 16
"""Tokens of the context left for the answer to a search result; hits are dropped to fit."""


class WebSearcher:
    """Runs the searches that a generation waits for, on its task thread."""

    def __init__(self, provider: SearchProvider | None, encoder: ChatEncoder) -> None:
        """Create a searcher; without a provider every search fails."""
        self._provider = provider
        self._encoder = encoder

    def run_searches(
        self, generation: Generation, parameters: GenerationParameters, num_prompt_tokens: int
    ) -> None:
        """Search for each waiting choice and insert the result into its tokens.

        Stops early if the generation is interrupted. A choice whose context has no room for a
        result ends with `length`.
        """
        for choice in generation.waiting:
            if generation.is_interrupted:
                return
            hits, error = self._search(generation.record, choice, parameters)
            if generation.is_interrupted:
                return
            num_used = num_prompt_tokens + len(generation.tokens_of(choice))
            token_ids = self._encode_result(choice, hits, error, parameters, num_used)
            if token_ids is None:
                choice.finish(FinishReason.LENGTH)
            else:
                generation.add_search_result(choice, token_ids)

    def _search(
        self, record: ResponseRecord, choice: Choice, parameters: GenerationParameters
    ) -> tuple[list[Hit], str | None]:
        tool = offered_search(parameters)
        assert tool is not None
        assert choice.query is not None
        if self._provider is None:
            return [], "no search provider is configured"
        try:
            return self._provider.search(choice.query, search_options(tool)), None
        except SearchError as error:
            fields = {"response_id": record.id.hex, "error": str(error)}
            logger.warning("search failed", extra=fields)
            return [], str(error)

    def _encode_result(
        self,
        choice: Choice,
        hits: list[Hit],
        error: str | None,
        parameters: GenerationParameters,
        num_used: int,
    ) -> list[int] | None:
        """Return the tokens of as many hits as fit into the context; None if no result fits."""
        mark = self._encoder.mark
        while True:
            text = (
                error_text(error, mark)
                if error
                else result_text(hits, first=choice.num_hits + 1, mark=mark)
            )
            with suppress(PromptTooLongError):
                token_ids = self._encoder.encode_result(text, parameters.effort)
                if num_used + len(token_ids) + MIN_ANSWER_TOKENS <= self._encoder.context_length:
                    return token_ids
            if not hits:
                return None
            hits = hits[:-1]


def search_options(tool: WebSearchTool) -> SearchOptions:
    """Return the options of a request's search tool."""
    filters = tool.filters
    return SearchOptions(
        context_size=tool.search_context_size or "medium",
        place=place_of(tool),
        allowed_domains=(filters.allowed_domains if filters else None) or (),
        blocked_domains=(filters.blocked_domains if filters else None) or (),
    )
