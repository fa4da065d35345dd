"""Prompts for the scripted engine: bytes, whatever they say."""

from typing import Any

from models.chat.messages import to_messages
from models.chat.prompt import EncodedPrompt, Prompt
from models.profile.call_format import CallFormat
from models.profile.profile import Profile
from models.profile.sampling_defaults import SamplingDefaults
from models.profile.thinking import ThinkingStyle
from models.profile.weights import SCRIPTED_MODEL

SCRIPTED_CONTEXT = 1 << 20
"""Tokens that the scripted engine takes as a context."""

SCRIPTED_VOCAB = 276
"""The bytes and the words of the script."""


class ScriptedEncoder:
    """For the scripted engine: a prompt's tokens are the bytes of its text."""

    context_length = SCRIPTED_CONTEXT
    vocab_size = SCRIPTED_VOCAB
    sampling = SamplingDefaults()
    media: frozenset[str] = frozenset()
    tokenizer = None

    def __init__(self, model_id: str = SCRIPTED_MODEL, script: str = "") -> None:
        """`script` is what the engine says, if that is not its usual words."""
        self.model_id = model_id
        self._thinking = ThinkingStyle(script)
        self.think_tags = self._thinking.tags
        self.profile = Profile()

    def opener_ids(self, call_format: CallFormat) -> list[int]:
        """Its bytes."""
        return list(call_format.opener.encode())

    def special_id(self, text: str) -> int | None:
        """There are none."""
        del text
        return None

    def encode(self, prompt: Prompt) -> list[int]:
        """UTF-8 bytes, one message a line."""
        messages = to_messages(prompt, self.profile, self._thinking)
        lines = (str(message["content"]) for message in messages)
        return list("\n".join(lines).encode())

    def encode_media(self, prompt: Prompt) -> EncodedPrompt:
        """The same: there are only texts."""
        return EncodedPrompt(token_ids=self.encode(prompt))

    def encode_result(self, result: str, effort: str | None) -> list[int]:
        """The result on lines of its own."""
        return list(f"\n{result}\n".encode())

    def check_part(self, part: dict[str, Any], param: str) -> None:
        """Every text can be a part of a prompt."""

    def token_texts(self) -> list[bytes]:
        """Those of a prompt's tokens; the script's words are the engine's own."""
        return [bytes([byte]) for byte in range(256)]
