"""`context_management`: the older part of a long conversation is replaced by a summary of it.

The plan follows from the items and the parameters alone, so that every attempt makes the same one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.chat.prompt import ChatEncoder
from models.chat.prompt_tokenizer import PromptTooLongError
from models.chat.render import encode_prompt
from models.chat.truncation import must_keep, room_for_prompt
from models.encryption.compaction import SUMMARY_INSTRUCTION, is_summary
from models.schemas.items import CALL_OF_OUTPUT
from models.schemas.request.options import ReasoningOptions
from models.schemas.request.parameters import GenerationParameters

MAX_SUMMARY_TOKENS = 1024
MIN_SUMMARY_TOKENS = 128
"""Bounds of the length of a summary, in tokens; between them, it is a quarter of its source's."""

WITHOUT_REASONING = ReasoningOptions(effort="none")
"""A summary needs no reasoning, which would take its tokens."""

Item = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionPlan:
    """Division of a conversation that is too long."""

    older: list[Item]
    """Items that a summary replaces; at least one."""
    kept: list[Item]
    """Items that stay: messages of the system, what brings tools, and the newest turn."""
    num_summary_tokens: int
    """Maximum length of the summary."""

    def summary_items(self) -> list[Item]:
        """Return the conversation that ends with the request for a summary."""
        question = {"type": "message", "role": "user", "content": SUMMARY_INSTRUCTION}
        return [*self.older, question]

    def summary_parameters(self, parameters: GenerationParameters) -> GenerationParameters:
        """Return the parameters that generate the summary."""
        return GenerationParameters(
            instructions=parameters.instructions,
            temperature=parameters.temperature,
            top_p=parameters.top_p,
            seed=parameters.seed,
            prompt_cache_key=parameters.prompt_cache_key,
            max_output_tokens=self.num_summary_tokens,
            truncation="auto",
            reasoning=WITHOUT_REASONING,
        )


def plan_compaction(
    encoder: ChatEncoder, parameters: GenerationParameters, items: Sequence[Item]
) -> CompactionPlan | None:
    """Return how to shorten the conversation; None if it is not too long, or cannot be shortened.

    `items` are decrypted.
    """
    threshold = _threshold(encoder, parameters)
    if threshold is None or parameters.is_warm_up:
        return None
    start = _newest_turn(items)
    older = [item for item in items[:start] if is_summary(item) or not must_keep(item)]
    if not older or _num_tokens(encoder, parameters, items) <= threshold:
        return None
    kept = [item for item in items[:start] if must_keep(item) and not is_summary(item)]
    return CompactionPlan(
        older=older,
        kept=[*kept, *items[start:]],
        num_summary_tokens=summary_length(threshold, encoder.context_length),
    )


def summary_length(num_tokens: int, context_length: int) -> int:
    """Return the maximum length of the summary of a text, in tokens."""
    return max(MIN_SUMMARY_TOKENS, min(num_tokens // 4, MAX_SUMMARY_TOKENS, context_length // 4))


def _threshold(encoder: ChatEncoder, parameters: GenerationParameters) -> int | None:
    """Return the longest prompt that is left as it is, in tokens."""
    room = room_for_prompt(encoder.context_length, parameters.output_limit)
    thresholds = (entry.compact_threshold or room for entry in parameters.context_management)
    return min(thresholds, default=None)


def _newest_turn(items: Sequence[Item]) -> int:
    """Return the position of the last user message, or of a call that is answered after it."""
    users = [position for position, item in enumerate(items) if item.get("role") == "user"]
    start = users[-1] if users else 0
    answered = {item["call_id"] for item in items[start:] if item.get("type") in CALL_OF_OUTPUT}
    calls = [
        position
        for position, item in enumerate(items[:start])
        if item.get("call_id") in answered and item.get("type") not in CALL_OF_OUTPUT
    ]
    return min([start, *calls])


def _num_tokens(
    encoder: ChatEncoder, parameters: GenerationParameters, items: Sequence[Item]
) -> int:
    untruncated = parameters.model_copy(update={"truncation": None})
    try:
        return len(encode_prompt(encoder, untruncated, items))
    except PromptTooLongError as error:
        return error.num_tokens
