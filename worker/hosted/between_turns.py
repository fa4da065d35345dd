"""Calls between two turns of a response: the server runs them and encodes their results."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from models.chat.prompt import ChatEncoder
from models.chat.prompt_tokenizer import PromptTooLongError
from models.schemas.request.parameters import GenerationParameters
from models.tools.mcp.results import McpResult, result_text
from worker.engine.interface import FinishReason
from worker.generation.generation import Generation
from worker.generation.output.choice import Choice
from worker.hosted.calls import SearchCall, ToolCall
from worker.hosted.mcp.errors import AbandonedError
from worker.hosted.mcp.tools import McpRequest, McpTools, StaleAttemptError
from worker.hosted.web_search import WebSearcher

MIN_ANSWER_TOKENS = 16
"""Tokens of the context left for the answer to a result, which is shortened to fit."""
_LEAST_LENGTH = 32
"""Characters below which a result is not shortened any further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedRun:
    """What the running of a call needs to know of its response."""

    generation: Generation
    choice: Choice
    parameters: GenerationParameters


class HostedCalls:
    """Runs the calls that one response waits for, on its task thread."""

    def __init__(self, searcher: WebSearcher, mcp: McpTools, encoder: ChatEncoder) -> None:
        self._searcher = searcher
        self._mcp = mcp
        self._encoder = encoder
        self._runs: dict[type[Any], Callable[[Any, HostedRun], Iterator[str]]] = {
            SearchCall: self._search,
            ToolCall: self._call_tool,
        }
        """Class of a call → function that runs it, and yields its result ever shorter."""

    def run(
        self, generation: Generation, parameters: GenerationParameters, num_prompt_tokens: int
    ) -> None:
        """Run the call of each waiting choice and insert the result into its tokens.

        Stops early if the generation is interrupted, but for a released one, whose next attempt
        goes on with the result. A choice whose context has no room for a result ends with
        `length`.
        """
        for choice in generation.waiting:
            if generation.is_interrupted:
                return
            run = HostedRun(generation=generation, choice=choice, parameters=parameters)
            num_used = num_prompt_tokens + len(generation.tokens_of(choice))
            try:
                texts = self._runs[type(choice.call)](choice.call, run)
                token_ids = self._encode_first(texts, parameters, num_used)
            except AbandonedError:
                return
            except StaleAttemptError:
                generation.abandon()
                return
            if generation.is_interrupted and not generation.is_released:
                return
            if token_ids is None:
                choice.finish(FinishReason.LENGTH)
            else:
                generation.add_result(choice, token_ids)

    def _encode_first(
        self, texts: Iterator[str], parameters: GenerationParameters, num_used: int
    ) -> list[int] | None:
        """Return the tokens of the first text that fits into the context; None if none does."""
        for text in texts:
            with suppress(PromptTooLongError):
                token_ids = self._encoder.encode_result(text, parameters.effort)
                if num_used + len(token_ids) + MIN_ANSWER_TOKENS <= self._encoder.context_length:
                    return token_ids
        return None

    def _search(self, call: SearchCall, run: HostedRun) -> Iterator[str]:
        return self._searcher.results(
            call.query, run.generation.record, run.parameters, first=run.choice.num_hits + 1
        )

    def _call_tool(self, call: ToolCall, run: HostedRun) -> Iterator[str]:
        label = call.function.namespace
        assert label is not None
        request = McpRequest(
            server_label=label,
            name=call.function.client_name,
            arguments=call.arguments,
            number=run.generation.calls.num_hosted["mcp_call"],
        )
        listed = run.parameters.mcp_lists.get(label, [])
        result = self._mcp.call(request, listed, run.generation.is_call_abandoned)
        return self._ever_shorter(result)

    def _ever_shorter(self, result: McpResult) -> Iterator[str]:
        yield result_text(result, self._encoder.mark)
        length = result.length // 2
        while length >= _LEAST_LENGTH:
            yield result_text(result.cut(length), self._encoder.mark)
            length //= 2
