"""`context_management`: the length of a prompt that the worker may have to shorten first."""

from typing import Any

from api.services import Services
from models.chat.compaction import plan_compaction
from models.chat.render import encode_prompt
from models.schemas.request.parameters import GenerationParameters


def num_prompt_tokens(
    services: Services, parameters: GenerationParameters, items: list[dict[str, Any]]
) -> int:
    """Return the length of the prompt in tokens, with the longest summary that it may have.

    `items` are decrypted.
    """
    plan = plan_compaction(services.encoder, parameters, items)
    if plan is None:
        return len(encode_prompt(services.encoder, parameters, items))
    return len(encode_prompt(services.encoder, parameters, plan.kept)) + plan.num_summary_tokens
