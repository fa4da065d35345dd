"""Prompt encoder that uses the chat template and tokenizer of the served model.

The API counts tokens with it before it accepts a request; the worker generates from them. It does
not import torch, and imports transformers, which takes seconds, only when an encoder is created.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from models.chat.chat_template import ChatTemplate
from models.chat.control_tokens import ControlTokens
from models.chat.messages import content_parts, is_native, to_messages
from models.chat.prompt import EncodedPrompt, Prompt
from models.chat.prompt_tokenizer import PromptTokenizer
from models.chat.scripted_encoder import ScriptedEncoder
from models.chat.visible_tokens import is_special_in_grammars, show_tokens
from models.engine_capabilities import (
    ALL_CAPABILITIES,
    EngineCapabilities,
    engine_capabilities,
)
from models.media.images import gradient_url, read_image_part
from models.media.processor import load_image_reader
from models.profile.formats.call_format import CallFormat
from models.profile.profile import read_profile
from models.profile.sampling_defaults import of_generation_config
from models.profile.thinking import ThinkingStyle
from models.profile.weights import Weights, locate_weights, served_model_id
from models.settings import Settings, SettingsError

_TEMPLATE_FILES = ("chat_template.json", "processor_config.json")
"""Files that may have the chat template of a processor."""
_CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
"""Names of the context length in config.json; those but the first are of older families."""
_CONTEXT = 1 << 17
"""Context length in tokens of networks that have no limit; the cache of a worker limits it."""
_CALL_MARK = "(the call)"
"""Placeholder of a tool call where only the text after the call is needed."""


class TemplateEncoder:
    """`ChatEncoder` that uses the chat template and tokenizer of the weights."""

    def __init__(
        self,
        weights: Weights,
        call_margin: float | None = None,
        *,
        other_template: Path | None = None,
        capabilities: EngineCapabilities = ALL_CAPABILITIES,
    ) -> None:
        """Load tokenizer, template and profile; raise `SettingsError` if one of them is not valid.

        `call_margin`, in logits, overrides that of the profile if it is not None; `other_template`
        is a file with the chat template of weights that bring none. `capabilities` are those of the
        engine that generates.
        """
        folder = weights.folder
        self.model_id = weights.model_id
        self.folder = folder
        self.tokenizer = _load_tokenizer(folder)
        if not self.tokenizer.chat_template and other_template is not None:
            self.tokenizer.chat_template = _read_template(other_template)
        template = _template(self.tokenizer)
        control = ControlTokens(self.tokenizer.backend_tokenizer, template)
        self.mark = control.mark
        vocabulary = self.tokenizer.get_added_vocab()
        self._thinking = ThinkingStyle(template, vocabulary, self.mark)
        self.think_tags = self._thinking.tags
        self.answer_tags = self._thinking.answer_tags
        self.profile = read_profile(
            folder, weights.model_id, template, call_margin, vocabulary=vocabulary
        )
        added = self.tokenizer.added_tokens_decoder.items()
        self._own_special_ids = {
            token.content: token_id for token_id, token in added if token.special
        }
        self.special_ids: Mapping[str, int] = {
            token.content: token_id
            for token_id, token in added
            if token.special or is_special_in_grammars(token.content)
        }
        delimiters = [*(self.think_tags or ()), *(self.answer_tags or ())]
        show_tokens(self.tokenizer, [*delimiters, self.profile.call_format.text])
        config = _text_config(folder)
        self.context_length = capabilities.limit(_context_length(config))
        self.vocab_size = int(config.get("vocab_size") or len(self.tokenizer))
        tokenizer = PromptTokenizer(control, self.model_id, self.context_length)
        self._tokenise = tokenizer.encode
        self._images = load_image_reader(folder) if capabilities.reads_images else None
        self._template = ChatTemplate(
            self.tokenizer, control, self.model_id, tokenizer.check_characters
        )
        self._template.check(takes_parts=self._images is not None)
        self.media = frozenset({"input_image"} if self._images else ())
        defaults = of_generation_config(_read_json(folder / "generation_config.json"))
        self.sampling = self.profile.sampling.over(defaults)

    def encode(self, prompt: Prompt) -> list[int]:
        """Render the chat template and tokenise the text.

        Raises `InvalidRequestError` if the template refuses the messages, or if they are clearly
        too long for the context.
        """
        return self.encode_media(prompt).token_ids

    def encode_media(self, prompt: Prompt) -> EncodedPrompt:
        """Encode a prompt as `encode` does, with its images prepared for the vision encoder."""
        messages = to_messages(prompt, self.profile, self._thinking, self._images, self.mark)
        if self._images is None:
            return self._encode_text(self._render(messages, prompt))
        # Templates of vision models iterate over the parts of every message.
        messages = [
            message | {"content": content_parts(message["content"])} for message in messages
        ]
        images = [
            part["image"] for message in messages for part in message["content"] if "image" in part
        ]
        text = self._images.expand(self._render(messages, prompt), images, self.mark)
        encoded = self._encode_text(text)
        return replace(encoded, images=self._images.place(encoded.token_ids, images))

    def encode_result(self, result: str, effort: str | None) -> list[int]:
        """Return the end of the assistant's message and a user message with the marked result."""
        turns = (("user", "?"), ("assistant", _CALL_MARK), ("user", result))
        messages: list[dict[str, Any]] = [
            {"role": role, "content": text if self._images is None else content_parts(text)}
            for role, text in turns
        ]
        text = self._render(messages, Prompt(instructions=None, items=[], effort=effort))
        return self._tokenise(text.partition(_CALL_MARK)[2])

    def image_sample(self) -> EncodedPrompt | None:
        """Return a short prompt with an image; None if the model does not take images."""
        if self._images is None:
            return None
        part = {"type": "input_image", "image_url": gradient_url()}
        message = {"role": "user", "content": [part, {"type": "input_text", "text": "This?"}]}
        return self.encode_media(Prompt(instructions=None, items=[message]))

    def opener_ids(self, call_format: CallFormat) -> list[int]:
        """Return the token ids of the opener, or of the text before the function's name."""
        return self._tokenise(self.mark(call_format.opener) or '{"name": "')

    def special_id(self, text: str) -> int | None:
        """Return the id of the special token whose text is `text`; None if there is none."""
        return self._own_special_ids.get(text)

    def check_part(self, part: dict[str, Any], param: str) -> None:
        """Prepare an image, which validates it; the prompt then uses the cached result."""
        if part["type"] == "input_image" and self._images is not None:
            self._images.prepare(read_image_part(part, param), param)

    def _render(self, messages: list[dict[str, Any]], prompt: Prompt) -> str:
        text = self._template.render(
            messages,
            tools=self._native_tools(prompt),
            verbosity=prompt.verbosity or "medium",
            **self._thinking.keywords(prompt.effort),
        )
        return self._thinking.close_reasoning(self._thinking.restore_tags(text), prompt.effort)

    def _native_tools(self, prompt: Prompt) -> list[dict[str, Any]] | None:
        return list(prompt.tools) or None if is_native(prompt, self.profile) else None

    def _encode_text(self, text: str) -> EncodedPrompt:
        token_ids = self._tokenise(text)
        opens_reasoning = self._thinking.opens_reasoning(text)
        return EncodedPrompt(token_ids=token_ids, opens_reasoning=opens_reasoning)

    def token_texts(self) -> list[bytes]:
        """Return the bytes of every token as llguidance derives them, partial characters included.

        llguidance marks special tokens by the byte 255, which is left out; UTF-8 never contains it.
        """
        from llguidance.hf import from_tokenizer

        tokens = from_tokenizer(self.tokenizer, slices=[])
        return [tokens.decode_bytes([token_id]) for token_id in range(tokens.vocab_size)]


def load_encoder(settings: Settings) -> TemplateEncoder | ScriptedEncoder:
    """Create the encoder of the model that the settings name.

    Raises `FileNotFoundError` if its weights have not been fetched.
    """
    if settings.engine == "scripted":
        return ScriptedEncoder(served_model_id(settings), settings.script_text)
    weights = locate_weights(settings)
    if not weights.is_ready:
        raise FileNotFoundError(
            f"no weights in {weights.folder}; fetch them with: ./antiphon models pull"
        )
    return TemplateEncoder(
        weights,
        settings.call_margin,
        other_template=settings.chat_template,
        capabilities=engine_capabilities(settings),
    )


def _load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer; vision models may have their chat template in a file of the processor."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    if not tokenizer.chat_template:
        found = (_read_json(folder / name).get("chat_template") for name in _TEMPLATE_FILES)
        tokenizer.chat_template = next(filter(None, found), None)
    return tokenizer


def _template(tokenizer: Any) -> str:
    """Return the chat template; if there are several, the one for tools."""
    template = tokenizer.chat_template
    if isinstance(template, dict):
        return str(template.get("tool_use") or template.get("default") or "")
    return template or ""


def _read_template(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise SettingsError(f"ANTIPHON_CHAT_TEMPLATE: {error}") from None


def _context_length(config: dict[str, Any]) -> int:
    """Return the length that a language model was trained for; not all name it."""
    return int(next((config[name] for name in _CONTEXT_NAMES if config.get(name)), _CONTEXT))


def _text_config(folder: Path) -> dict[str, Any]:
    """Return the configuration of the language model, with all its defaults.

    Nested in the configuration of a multimodal model, it is stored without its defaults.
    """
    config = _read_json(folder / "config.json")
    if "text_config" not in config:
        return config
    from transformers import AutoConfig

    whole = AutoConfig.from_pretrained(folder, local_files_only=True)
    text_config: dict[str, Any] = whole.get_text_config().to_dict()
    return text_config


def _read_json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file of the weights; {} if the file does not exist."""
    content: dict[str, Any] = orjson.loads(path.read_bytes()) if path.is_file() else {}
    return content
