"""From items to the token ids of a prompt: the chat template and tokenizer of the served model.

The API counts with it before it accepts a request, the worker generates from it. No torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import llguidance.hf
import orjson
from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerFast

from models.errors import InvalidRequestError
from models.settings import Settings
from models.weights import SCRIPTED_MODEL, Weights, locate_weights
from models.wire.items import message_text

SCRIPTED_CONTEXT = 1 << 20
"""Tokens that the scripted engine takes as a context."""

SCRIPTED_VOCAB = 276
"""The bytes and the words of the script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a turn puts before the model."""

    instructions: str | None
    items: Sequence[dict[str, Any]]
    verbosity: str | None = None


class ChatEncoder(Protocol):
    """Renders prompts for one model and knows the model's limits and defaults."""

    model_id: str
    context_length: int
    """Tokens of prompt and output together."""
    vocab_size: int
    """Token ids are smaller than this."""
    default_temperature: float
    default_top_p: float

    def encode(self, prompt: Prompt) -> list[int]:
        """The token ids of a prompt, ending where the assistant's turn begins."""

    def token_texts(self) -> list[bytes]:
        """The text of every token by its id; takes a second."""


class TemplateEncoder:
    """The chat template and tokenizer that came with the weights."""

    def __init__(self, weights: Weights) -> None:
        folder = weights.folder
        self.model_id = weights.model_id
        self.folder = folder
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        config = _read_json(folder / "config.json")
        self.context_length = int(config["max_position_embeddings"])
        self.vocab_size = int(config.get("vocab_size") or len(self.tokenizer))
        defaults = _read_json(folder / "generation_config.json")
        self.default_temperature = float(defaults.get("temperature") or 1.0)
        self.default_top_p = float(defaults.get("top_p") or 1.0)

    def encode(self, prompt: Prompt) -> list[int]:
        """Render the chat template and tokenise; raises if the template refuses the messages."""
        try:
            text = self.tokenizer.apply_chat_template(
                _messages(prompt),
                tokenize=False,
                add_generation_prompt=True,
                verbosity=prompt.verbosity or "medium",
            )
        except TemplateError as error:
            raise InvalidRequestError(
                f"The chat template of {self.model_id} refuses these messages: {error}",
                param="input",
            ) from error
        # The backend's own call: transformers' wrapper costs three times the tokenising.
        encoding = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
        return list(encoding.ids)

    def token_texts(self) -> list[bytes]:
        """As llguidance reads them off the tokenizer: bytes, half characters included.

        The byte 255 is its own mark and left out; it is no part of any text in UTF-8.
        """
        tokens = llguidance.hf.from_tokenizer(self.tokenizer, slices=[])
        return [tokens.decode_bytes([token_id]) for token_id in range(tokens.vocab_size)]


class ScriptedEncoder:
    """For the scripted engine: a prompt's tokens are the bytes of its text."""

    model_id = SCRIPTED_MODEL
    context_length = SCRIPTED_CONTEXT
    vocab_size = SCRIPTED_VOCAB
    default_temperature = 1.0
    default_top_p = 1.0

    def encode(self, prompt: Prompt) -> list[int]:
        """UTF-8 bytes, one message a line."""
        lines = (message["content"] for message in _messages(prompt))
        return list("\n".join(lines).encode())

    def token_texts(self) -> list[bytes]:
        """Those of a prompt's tokens; the script's words are the engine's own."""
        return [bytes([byte]) for byte in range(256)]


def load_encoder(settings: Settings) -> TemplateEncoder | ScriptedEncoder:
    """The encoder of the model that the settings name."""
    if settings.engine == "scripted":
        return ScriptedEncoder()
    weights = locate_weights(settings)
    if not weights.is_ready:
        raise FileNotFoundError(
            f"no weights in {weights.folder}; fetch them with: ./antiphon models pull"
        )
    return TemplateEncoder(weights)


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    """Items as chat messages; instructions come first and belong to this turn only."""
    messages = [
        {"role": _role(item["role"]), "content": message_text(item)} for item in prompt.items
    ]
    if prompt.instructions:
        messages.insert(0, {"role": "system", "content": prompt.instructions})
    return _join_leading_system(messages)


def _role(role: str) -> str:
    """`developer` is the newer name of `system`; templates know the older."""
    return "system" if role == "developer" else role


def _join_leading_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Many templates take one system message, at the beginning."""
    count = 0
    while count < len(messages) and messages[count]["role"] == "system":
        count += 1
    if count < 2:
        return messages
    content = "\n\n".join(message["content"] for message in messages[:count])
    return [{"role": "system", "content": content}, *messages[count:]]


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON file of the weights; one that is optional may be missing."""
    content: dict[str, Any] = orjson.loads(path.read_bytes()) if path.is_file() else {}
    return content
