"""From items to the token ids of a prompt: the chat template and tokenizer of the served model.

The API counts with it before it accepts a request, the worker generates from it. No torch, and
transformers, which takes seconds to import, only where something is tokenised.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import orjson
from jinja2.exceptions import TemplateError

from models.errors import InvalidRequestError
from models.images import gradient_url, read_image_part
from models.reasoning import attach_thoughts
from models.settings import Settings
from models.thinking import ThinkingStyle, ThinkTags
from models.visible_tokens import show_tokens
from models.vision import ImageReader, PlacedImage, load_image_reader
from models.web_search import messages_of
from models.weights import SCRIPTED_MODEL, Weights, locate_weights, served_model_id
from models.wire.items import message_text

SCRIPTED_CONTEXT = 1 << 20
"""Tokens that the scripted engine takes as a context."""

SCRIPTED_VOCAB = 276
"""The bytes and the words of the script."""

_CALL_MARK = "(the call)"
"""Stands for a call where only what comes after it is of interest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a turn puts before the model."""

    instructions: str | None
    items: Sequence[dict[str, Any]]
    verbosity: str | None = None
    effort: str | None = None
    """How much the model is to think; None leaves it to the template."""
    tool_prompt: str | None = None
    """What the system message says of tools of the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPrompt:
    """A prompt as the engine takes it."""

    token_ids: list[int]
    images: list[PlacedImage] = field(default_factory=list)
    opens_thought: bool = False
    """Whether it ends within a thought, which the model goes on with."""

    def __len__(self) -> int:
        """Its number of tokens."""
        return len(self.token_ids)


class ChatEncoder(Protocol):
    """Renders prompts for one model and knows the model's limits and defaults."""

    model_id: str
    context_length: int
    """Tokens of prompt and output together."""
    vocab_size: int
    """Token ids are smaller than this."""
    default_temperature: float
    default_top_p: float
    media: frozenset[str]
    """The types of content parts that the model takes beside text."""
    think_tags: ThinkTags | None
    """How the model spells its thoughts; None if it is not known to have any."""

    def encode(self, prompt: Prompt) -> list[int]:
        """The token ids of a prompt, ending where the assistant's turn begins."""

    def encode_media(self, prompt: Prompt) -> EncodedPrompt:
        """The same with what the tokens of images stand for."""

    def encode_result(self, result: str, effort: str | None) -> list[int]:
        """What comes after a call of a tool: its result, and that it is the assistant's turn."""

    def check_part(self, part: dict[str, Any], param: str) -> None:
        """Raise an `InvalidRequestError` for a part that a prompt cannot hold."""

    def token_texts(self) -> list[bytes]:
        """The text of every token by its id; takes a second."""


class TemplateEncoder:
    """The chat template and tokenizer that came with the weights."""

    def __init__(self, weights: Weights) -> None:
        from transformers import PreTrainedTokenizerFast

        folder = weights.folder
        self.model_id = weights.model_id
        self.folder = folder
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        self._thinking = ThinkingStyle(
            str(self.tokenizer.chat_template or ""), self.tokenizer.get_added_vocab()
        )
        self.think_tags = self._thinking.tags
        show_tokens(self.tokenizer, self.think_tags or ())
        config = _text_config(folder)
        self.context_length = int(config["max_position_embeddings"])
        self.vocab_size = int(config.get("vocab_size") or len(self.tokenizer))
        self._images = load_image_reader(folder)
        self.media = frozenset({"input_image"} if self._images else ())
        defaults = _read_json(folder / "generation_config.json")
        self.default_temperature = float(defaults.get("temperature") or 1.0)
        self.default_top_p = float(defaults.get("top_p") or 1.0)

    def encode(self, prompt: Prompt) -> list[int]:
        """Render the chat template and tokenise; raises if the template refuses the messages."""
        return self.encode_media(prompt).token_ids

    def encode_media(self, prompt: Prompt) -> EncodedPrompt:
        """The same with the images among the items, prepared for the vision network."""
        messages = _messages(prompt, self._thinking, self._images)
        if self._images is None:
            return self._encoded(self._render(messages, prompt))
        # Templates of vision models go through the parts of every message.
        messages = [message | {"content": _parts(message["content"])} for message in messages]
        images = [
            part["image"] for message in messages for part in message["content"] if "image" in part
        ]
        text = self._images.expand(self._render(messages, prompt), images)
        encoded = self._encoded(text)
        return replace(encoded, images=self._images.place(encoded.token_ids, images))

    def encode_result(self, result: str, effort: str | None) -> list[int]:
        """The end of the assistant's message and a user's that has the result."""
        said = (("user", "?"), ("assistant", _CALL_MARK), ("user", result))
        messages: list[dict[str, Any]] = [
            {"role": role, "content": text if self._images is None else _parts(text)}
            for role, text in said
        ]
        text = self._render(messages, Prompt(instructions=None, items=[], effort=effort))
        return self._tokenise(text.partition(_CALL_MARK)[2])

    def image_sample(self) -> EncodedPrompt | None:
        """A short prompt with an image; None if the model takes none."""
        if self._images is None:
            return None
        part = {"type": "input_image", "image_url": gradient_url()}
        message = {"role": "user", "content": [part, {"type": "input_text", "text": "This?"}]}
        return self.encode_media(Prompt(instructions=None, items=[message]))

    def check_part(self, part: dict[str, Any], param: str) -> None:
        """Prepare an image, as the prompt with it soon will."""
        if part["type"] == "input_image" and self._images is not None:
            self._images.prepare(read_image_part(part, param), param)

    def _render(self, messages: list[dict[str, Any]], prompt: Prompt) -> str:
        try:
            text: str = self.tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=True,
                verbosity=prompt.verbosity or "medium",
                **self._thinking.keywords(prompt.effort),
            )
        except TemplateError as error:
            raise InvalidRequestError(
                f"The chat template of {self.model_id} refuses these messages: {error}",
                param="input",
            ) from error
        return self._thinking.settle(text, prompt.effort)

    def _encoded(self, text: str) -> EncodedPrompt:
        token_ids = self._tokenise(text)
        return EncodedPrompt(token_ids=token_ids, opens_thought=self._thinking.opens_thought(text))

    def _tokenise(self, text: str) -> list[int]:
        # The backend's own call: transformers' wrapper costs three times the tokenising.
        encoding = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
        return list(encoding.ids)

    def token_texts(self) -> list[bytes]:
        """As llguidance reads them off the tokenizer: bytes, half characters included.

        The byte 255 is its own mark and left out; it is no part of any text in UTF-8.
        """
        from llguidance.hf import from_tokenizer

        tokens = from_tokenizer(self.tokenizer, slices=[])
        return [tokens.decode_bytes([token_id]) for token_id in range(tokens.vocab_size)]


class ScriptedEncoder:
    """For the scripted engine: a prompt's tokens are the bytes of its text."""

    context_length = SCRIPTED_CONTEXT
    vocab_size = SCRIPTED_VOCAB
    default_temperature = 1.0
    default_top_p = 1.0
    media: frozenset[str] = frozenset()

    def __init__(self, model_id: str = SCRIPTED_MODEL, script: str = "") -> None:
        """`script` is what the engine says, if that is not its usual words."""
        self.model_id = model_id
        self._thinking = ThinkingStyle(script)
        self.think_tags = self._thinking.tags

    def encode(self, prompt: Prompt) -> list[int]:
        """UTF-8 bytes, one message a line."""
        lines = (message["content"] for message in _messages(prompt, self._thinking))
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


def load_encoder(settings: Settings) -> TemplateEncoder | ScriptedEncoder:
    """The encoder of the model that the settings name."""
    if settings.engine == "scripted":
        return ScriptedEncoder(served_model_id(settings), settings.script_text)
    weights = locate_weights(settings)
    if not weights.is_ready:
        raise FileNotFoundError(
            f"no weights in {weights.folder}; fetch them with: ./antiphon models pull"
        )
    return TemplateEncoder(weights)


def _messages(
    prompt: Prompt, thinking: ThinkingStyle, images: ImageReader | None = None
) -> list[dict[str, Any]]:
    """Items as chat messages; instructions come first and belong to this turn only."""
    messages: list[dict[str, Any]] = [
        thinking.with_thought(
            {"role": _role(item["role"]), "content": _content(item, images)}, item.get("thought")
        )
        for item in _with_searches(attach_thoughts(prompt.items))
    ]
    for text in filter(None, (prompt.tool_prompt, prompt.instructions)):
        messages.insert(0, {"role": "system", "content": text})
    return _join_leading_system(messages)


def _with_searches(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items with the messages that stand for searches of the web in their places."""
    shown: list[dict[str, Any]] = []
    for item in items:
        is_search = item.get("type") == "web_search_call"
        found = messages_of(item) if is_search else [item]
        thought = {"thought": item["thought"]} if is_search and "thought" in item else {}
        shown += [found[0] | thought, *found[1:]] if found else []
    return shown


def _content(item: dict[str, Any], images: ImageReader | None) -> str | list[dict[str, Any]]:
    """A message's text, or its parts if there are images among them."""
    content = item["content"]
    if images is None or isinstance(content, str):
        return message_text(item)
    if not any(part["type"] == "input_image" for part in content):
        return message_text(item)
    return [_part(part, images) for part in content]


def _part(part: dict[str, Any], images: ImageReader) -> dict[str, Any]:
    if part["type"] == "input_image":
        prepared = images.prepare(read_image_part(part, "input"), "input")
        return {"type": "image", "image": prepared}
    return {"type": "text", "text": part.get("text") or part.get("refusal") or ""}


def _parts(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _role(role: str) -> str:
    """`developer` is the newer name of `system`; templates know the older."""
    return "system" if role == "developer" else role


def _join_leading_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Many templates take one system message, at the beginning."""
    count = 0
    while count < len(messages) and _is_system_text(messages[count]):
        count += 1
    if count < 2:
        return messages
    content = "\n\n".join(message["content"] for message in messages[:count])
    return [{"role": "system", "content": content}, *messages[count:]]


def _is_system_text(message: dict[str, Any]) -> bool:
    return message["role"] == "system" and isinstance(message["content"], str)


def _text_config(folder: Path) -> dict[str, Any]:
    """The config of the language model; one within a larger config leaves its defaults out."""
    config = _read_json(folder / "config.json")
    if "text_config" not in config:
        return config
    from transformers import AutoConfig

    whole = AutoConfig.from_pretrained(folder, local_files_only=True)
    text_config: dict[str, Any] = whole.get_text_config().to_dict()
    return text_config


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON file of the weights; one that is optional may be missing."""
    content: dict[str, Any] = orjson.loads(path.read_bytes()) if path.is_file() else {}
    return content
