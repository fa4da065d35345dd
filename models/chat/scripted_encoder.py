"""Prompt encoder of the scripted engine, whose tokens are bytes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from models.chat.messages import to_messages
from models.chat.prompt import EncodedPrompt, Prompt
from models.chat.prompt_tokenizer import PromptTooLongError
from models.profile.formats.call_format import CallFormat
from models.profile.formats.table import find_format
from models.profile.profile import Profile
from models.profile.sampling_defaults import SamplingDefaults
from models.profile.thinking import ThinkingStyle
from models.profile.weights import SCRIPTED_MODEL

SCRIPTED_CONTEXT = 1 << 20
"""Context length of the scripted engine in tokens."""

_MAX_BYTES = 2 * SCRIPTED_CONTEXT
"""Length of the longest prompt that is counted rather than refused, in bytes."""

SCRIPTED_VOCAB = 276
"""Number of token ids: 256 bytes and the words of the script."""


class ScriptedEncoder:
    """`ChatEncoder` of the scripted engine: a prompt's tokens are the bytes of its text."""

    context_length = SCRIPTED_CONTEXT
    vocab_size = SCRIPTED_VOCAB
    sampling = SamplingDefaults()
    media: frozenset[str] = frozenset()
    tokenizer = None
    special_ids: Mapping[str, int] = MappingProxyType({})

    def __init__(self, model_id: str = SCRIPTED_MODEL, script: str = "") -> None:
        """Create the encoder; `script` is the engine's output if it is not the default words."""
        self.model_id = model_id
        self._thinking = ThinkingStyle(script)
        self.think_tags = self._thinking.tags
        self.answer_tags = self._thinking.answer_tags
        found = find_format(script)
        self.profile = Profile(own_style=found.style if found else None)

    def opener_ids(self, call_format: CallFormat) -> list[int]:
        """Return the bytes of the opener."""
        return list(call_format.opener.encode())

    def special_id(self, text: str) -> int | None:
        """Return None: there are no special tokens."""
        del text
        return None

    def encode(self, prompt: Prompt) -> list[int]:
        """Return the UTF-8 bytes of the messages, one message per line.

        Raises `PromptTooLongError` if there are more than twice as many as the context takes.
        """
        messages = to_messages(prompt, self.profile, self._thinking)
        lines = (str(message["content"]) for message in messages)
        text = self._thinking.restore_tags("\n".join(lines)).encode()
        if len(text) > _MAX_BYTES:
            raise PromptTooLongError(len(text), self.context_length, self.model_id)
        return list(text)

    def mark(self, text: str) -> str:
        """Return the text: there are no control tokens."""
        return text

    def encode_media(self, prompt: Prompt) -> EncodedPrompt:
        """Encode a prompt like `encode`; images are not supported."""
        token_ids = self.encode(prompt)
        opens_reasoning = self._thinking.opens_reasoning(bytes(token_ids).decode())
        return EncodedPrompt(token_ids=token_ids, opens_reasoning=opens_reasoning)

    def encode_result(self, result: str, effort: str | None) -> list[int]:
        """Return the bytes of the result between two line breaks."""
        return list(f"\n{result}\n".encode())

    def check_part(self, part: dict[str, Any], param: str) -> None:
        """Accept every part: all of them are text."""

    def token_texts(self) -> list[bytes]:
        """Return the byte of each token id below 256; the engine itself adds the script's words."""
        return [bytes([byte]) for byte in range(256)]
