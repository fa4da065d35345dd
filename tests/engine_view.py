"""What a worker makes of a body: the messages of the prompt, the grammar and how to sample."""

from dataclasses import dataclass
from typing import Any

from models.chat.messages import Message, to_messages
from models.chat.prompt import EncodedPrompt, Prompt
from models.chat.render import encode_prompt
from models.chat.scripted_encoder import ScriptedEncoder
from models.encryption.cipher import ContentCipher, new_encryption_key
from models.encryption.items import decrypt_items
from models.profile.profile import Profile
from models.profile.thinking import ThinkingStyle
from models.schemas.request.create_response import CreateResponse
from worker.engine.params import SamplingParams
from worker.generation.request.dry_breakers import DryBreakerCompiler
from worker.generation.request.engine_request import cache_salt, find_json, turn_grammar
from worker.generation.request.sampling_params import sampling_params

PROJECT = "p"
_KEY = new_encryption_key()
CIPHER = ContentCipher(lambda _: _KEY)
"""Cipher of all content in these bodies."""


@dataclass(frozen=True)
class EngineView:
    """Everything that the answer to a request depends on."""

    messages: list[Message]
    prompt: tuple[Any, ...]
    grammar: tuple[Any, ...]
    sampling: SamplingParams
    others: tuple[Any, ...]


class _RecordingEncoder(ScriptedEncoder):
    """Encoder that keeps the prompt and the messages that templates would be given."""

    def __init__(self) -> None:
        super().__init__()
        self.profile = Profile(takes_tools=True)
        self.thinking = ThinkingStyle("{{ message.reasoning_content }}<think></think>")
        self.prompts: list[Prompt] = []

    def encode_media(self, prompt: Prompt) -> EncodedPrompt:
        self.prompts.append(prompt)
        return super().encode_media(prompt)


def engine_view(body: dict[str, Any]) -> EngineView:
    """Return what a worker makes of a valid body; raise `ValidationError` for one that is not."""
    request = CreateResponse.model_validate({"input": "a", **body})
    encoder = _RecordingEncoder()
    parameters = encoder.sampling.fill(request.parameters())
    items = decrypt_items(CIPHER, PROJECT, request.input_items())
    encoded = encode_prompt(encoder, parameters, items)
    [prompt] = encoder.prompts
    return EngineView(
        messages=to_messages(prompt, encoder.profile, encoder.thinking),
        prompt=(encoded, prompt.tools, prompt.tool_prompt, prompt.effort, prompt.verbosity),
        grammar=(
            turn_grammar(parameters, encoder, turn=0, can_search=True, opens_reasoning=False),
            find_json(parameters, encoder, opens_reasoning=False),
        ),
        sampling=sampling_params(
            parameters, DryBreakerCompiler(encoder.token_texts), seed=0, max_tokens=100
        ),
        others=(
            *(parameters.n, parameters.stop, parameters.include, parameters.truncation),
            *(parameters.max_tool_calls, parameters.tool_choice, request.model),
            cache_salt(PROJECT, parameters.prompt_cache_key),
        ),
    )
