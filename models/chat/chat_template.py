"""Rendering of messages by the chat template that comes with a tokenizer, with marked tokens."""

from collections.abc import Sequence
from typing import Any

from jinja2.exceptions import TemplateError

from models.chat.control_tokens import ControlTokens
from models.chat.marked_template import CheckLength, MarkedTemplate
from models.errors import InvalidRequestError
from models.settings import SettingsError

Message = dict[str, Any]

_REASONING_NAMES = ("reasoning_content", "thinking", "reasoning")
_REFUSALS = (
    *(TemplateError, ArithmeticError, AttributeError, LookupError),
    *(RecursionError, TypeError, ValueError),
)
"""Exceptions of templates that do not take the messages or the tools."""

_SYSTEM: Message = {"role": "system", "content": "Be brief."}
_USER: Message = {"role": "user", "content": "Where is it?"}
_ANSWER: Message = {"role": "assistant", "content": "It is here."}
_FUNCTION = {"name": "find", "arguments": {"place": "here"}}
_CALL: Message = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "abcdefghi", "type": "function", "function": _FUNCTION}],
}
_OUTPUT: Message = {
    "role": "tool",
    "tool_call_id": "abcdefghi",
    "name": "find",
    "content": "There.",
}
_PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
_TOOL = {
    "type": "function",
    "function": {"name": "find", "description": "Find it.", "parameters": _PLACE},
}
_SAMPLES: tuple[tuple[Sequence[Message], Sequence[dict[str, Any]] | None], ...] = (
    ([_USER], None),
    ([_USER, _ANSWER, _USER], None),
    ([_SYSTEM, _USER, _ANSWER, _USER], None),
    ([_USER, _CALL, _OUTPUT], [_TOOL]),
    ([_SYSTEM, _USER, _CALL, _OUTPUT, _ANSWER, _USER], [_TOOL]),
)


class ChatTemplate:
    """Chat template of one tokenizer; what it renders has marks for its control tokens."""

    def __init__(
        self, tokenizer: Any, control: ControlTokens, model_id: str, check_length: CheckLength
    ) -> None:
        """Wrap the template of a tokenizer of the transformers library.

        `check_length` raises an error for a number of characters that is too long for a prompt.
        """
        self._tokenizer = tokenizer
        self._control = control
        self._model_id = model_id
        self._check_length = check_length
        self._compiled: dict[str, MarkedTemplate] = {}
        self._special_tokens = {
            name: control.mark(text) for name, text in tokenizer.special_tokens_map.items()
        }

    def render(
        self, messages: Sequence[Message], tools: list[dict[str, Any]] | None, **keywords: Any
    ) -> str:
        """Return the prompt up to the start of the assistant's turn.

        Raises `InvalidRequestError` if the template refuses the messages, and what `check_length`
        raises.
        """
        try:
            return self._render(messages, tools, **keywords)
        except _REFUSALS as error:
            reason = self._control.unmark(str(error))
            raise InvalidRequestError(
                f"The chat template of {self._model_id} refuses these messages: {reason}",
                param="input",
            ) from error

    def check(self, *, takes_parts: bool) -> None:
        """Compare marked prompts with what the library makes of the same messages.

        `takes_parts` is True for templates that iterate over the parts of a message. Raises
        `SettingsError` if the tokens differ: the template then composes control tokens in a way
        that is not recognised.
        """
        for messages, tools in _SAMPLES:
            sample = [
                message | {"content": _parts(message["content"])} if takes_parts else message
                for message in messages
            ]
            try:
                expected = self._tokenizer.apply_chat_template(
                    sample, tools=tools, tokenize=False, add_generation_prompt=True
                )
            except _REFUSALS:
                continue
            marked = self._render(sample, tools)
            if _ids(self._control.tokenizer, marked) != _ids(
                self._tokenizer.backend_tokenizer, expected
            ):
                raise SettingsError(
                    f"the chat template of {self._model_id} composes control tokens of parts, "
                    "so that they cannot be told from text"
                )

    def _render(
        self, messages: Sequence[Message], tools: Sequence[dict[str, Any]] | None, **keywords: Any
    ) -> str:
        from transformers.utils.chat_template_utils import _compile_jinja_template

        source = self._tokenizer.get_chat_template(None, tools)
        if source not in self._compiled:
            environment = _compile_jinja_template(source).environment
            template = MarkedTemplate(environment, source, self._control.mark, self._check_length)
            self._compiled[source] = template
        return self._compiled[source].render(
            **self._special_tokens,
            messages=[_with_reasoning_names(_plain(message)) for message in messages],
            tools=tools,
            documents=None,
            add_generation_prompt=True,
            **keywords,
        )


def _plain(message: Message) -> Message:
    """Return the message without empty fields and without the data of images."""
    plain = {key: value for key, value in message.items() if value is not None}
    if isinstance(plain.get("content"), list):
        plain["content"] = [
            part | {"image": ""} if "image" in part else part for part in plain["content"]
        ]
    return plain


def _with_reasoning_names(message: Message) -> Message:
    """Return the message with its reasoning under the names that templates read.

    transformers does the same, but not in the version of vLLM's environment.
    """
    reasoning = next(
        (message[name] for name in _REASONING_NAMES if message.get(name) is not None), None
    )
    if reasoning is None:
        return message
    return {"thinking": reasoning, **message, "reasoning_content": reasoning}


def _parts(content: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": content}]


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)
