"""Conversion of the events of a response to `chat.completion.chunk` objects, as frames."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from api.chat.response import (
    CALLS,
    REASONING_SEPARATOR,
    CompletionFailedError,
    check_success,
    choose_finish_reason,
    completion_fields,
    has_logprobs,
    make_annotation,
    num_choices,
    usage_of,
)
from api.streaming.obfuscation import pad
from models.errors import AppError
from models.ids import choice_of
from models.responses.record import ResponseRecord
from models.schemas.chat.chunk import (
    CallDelta,
    ChatCompletionChunk,
    ChunkChoice,
    ChunkWithUsage,
    CustomDelta,
    Delta,
    FunctionDelta,
)
from models.schemas.chat.completion import ChatUsage, ChoiceLogprobs, FinishReason
from models.streams.event_log import LoggedEvent

_Event = dict[str, Any]
_Place = tuple[int, str, int]
"""Place of a text in a message: the number of the choice, the field, and the number of the call."""
_PLACEHOLDER = "\0"
"""Text that no other field of a chunk has."""


@dataclass
class _ChoiceState:
    """Content of the chunks of a choice so far."""

    num_calls: int = 0
    num_chars: int = 0
    """Characters of its text."""
    message_start: int = 0
    """Position in its text at which the current message begins."""
    has_reasoning: bool = False
    begins_reasoning: bool = False
    """True if no text of the current reasoning item was sent yet."""


class ChunkEncoder:
    """`FrameEncoder` of one completion."""

    def __init__(self, record: ResponseRecord, *, includes_usage: bool, is_padded: bool) -> None:
        """With `includes_usage`, a chunk with the usage alone is the last one."""
        self._fields = completion_fields(record)
        self._has_logprobs = has_logprobs(record)
        self._choices = [_ChoiceState() for _ in range(num_choices(record))]
        self._around: dict[_Place, tuple[bytes, bytes]] = {}
        """Bytes before and after a text in its chunk, by the place of the text."""
        self._call_numbers: dict[str, int] = {}
        """Number of each call within its choice, by the id of its item."""
        self._includes_usage = includes_usage
        self._is_padded = is_padded

    def encode(self, event: LoggedEvent) -> bytes:
        """Return the chunks that an event becomes, as frames; most events become none."""
        convert = _CONVERSIONS.get(event.type)
        if convert is None:
            return b""
        try:
            return b"".join(convert(self, orjson.loads(event.data)))
        except CompletionFailedError as error:
            return self.encode_error(error, event.sequence_number)

    def encode_error(self, error: AppError, sequence_number: int) -> bytes:
        """Return the error as a frame of its own, by which clients recognise it."""
        del sequence_number
        return _format_frame(orjson.dumps(error.body()))

    def _begin(self, _: _Event) -> Iterator[bytes]:
        for number in range(len(self._choices)):
            yield self._format(number, Delta(role="assistant", content=""))

    def _add_item(self, event: _Event) -> Iterator[bytes]:
        item = event["item"]
        number = choice_of(item["id"])
        choice = self._choices[number]
        choice.message_start, choice.begins_reasoning = choice.num_chars, True
        if item["type"] not in CALLS:
            return
        call = self._call_numbers[item["id"]] = choice.num_calls
        choice.num_calls += 1
        delta = CallDelta(index=call, id=item["call_id"])
        if item["type"] == "function_call":
            delta.type, delta.function = "function", FunctionDelta(name=item["name"], arguments="")
        else:
            delta.type, delta.custom = "custom", CustomDelta(name=item["name"], input="")
        yield self._format(number, Delta(tool_calls=[delta]))

    def _add_text(self, event: _Event) -> Iterator[bytes]:
        number, text = choice_of(event["item_id"]), event["delta"]
        self._choices[number].num_chars += len(text)
        if self._has_logprobs:
            yield self._format(number, Delta(content=text), logprobs=event["logprobs"])
        else:
            yield self._format_text((number, "content", 0), text)

    def _add_annotation(self, event: _Event) -> Iterator[bytes]:
        number = choice_of(event["item_id"])
        annotation = make_annotation(event["annotation"], self._choices[number].message_start)
        yield self._format(number, Delta(annotations=[annotation]))

    def _add_reasoning(self, event: _Event) -> Iterator[bytes]:
        number = choice_of(event["item_id"])
        choice = self._choices[number]
        is_next = choice.begins_reasoning and choice.has_reasoning
        choice.begins_reasoning, choice.has_reasoning = False, True
        text = REASONING_SEPARATOR + event["delta"] if is_next else event["delta"]
        yield self._format_text((number, "reasoning_content", 0), text)

    def _add_arguments(self, event: _Event) -> Iterator[bytes]:
        number, call = choice_of(event["item_id"]), self._call_numbers[event["item_id"]]
        yield self._format_text((number, "arguments", call), event["delta"])

    def _add_input(self, event: _Event) -> Iterator[bytes]:
        number, call = choice_of(event["item_id"]), self._call_numbers[event["item_id"]]
        yield self._format_text((number, "input", call), event["delta"])

    def _end(self, event: _Event) -> Iterator[bytes]:
        response = event["response"]
        check_success(response)
        for number in range(len(self._choices)):
            reason = choose_finish_reason(response, number)
            yield self._format(number, Delta(), finish_reason=reason)
        if self._includes_usage:
            yield _format_frame(self._serialise([], usage_of(response)))

    def _format_text(self, place: _Place, text: str) -> bytes:
        """Return the chunk of one more piece of text: nearly all chunks, so their way is short."""
        if place not in self._around:
            number, field, call = place
            choice = ChunkChoice(index=number, delta=_make_delta(field, call))
            data = self._serialise([choice], None)
            before, _, after = data.partition(orjson.dumps(_PLACEHOLDER))
            self._around[place] = before, after
        before, after = self._around[place]
        return self._frame(before + orjson.dumps(text) + after)

    def _format(
        self,
        number: int,
        delta: Delta,
        *,
        logprobs: list[dict[str, Any]] | None = None,
        finish_reason: FinishReason | None = None,
    ) -> bytes:
        choice = ChunkChoice(index=number, delta=delta, finish_reason=finish_reason)
        if logprobs is not None:
            choice.logprobs = ChoiceLogprobs.model_validate({"content": logprobs})
        return self._frame(self._serialise([choice], None))

    def _serialise(self, choices: list[ChunkChoice], usage: ChatUsage | None) -> bytes:
        chunk = (
            ChunkWithUsage(**self._fields, choices=choices, usage=usage)
            if self._includes_usage
            else ChatCompletionChunk(**self._fields, choices=choices)
        )
        return chunk.model_dump_json().encode()

    def _frame(self, chunk: bytes) -> bytes:
        return _format_frame(pad(chunk) if self._is_padded else chunk)


_CONVERSIONS: dict[str, Callable[[ChunkEncoder, _Event], Iterator[bytes]]] = {
    "response.in_progress": ChunkEncoder._begin,
    "response.output_item.added": ChunkEncoder._add_item,
    "response.output_text.delta": ChunkEncoder._add_text,
    "response.output_text.annotation.added": ChunkEncoder._add_annotation,
    "response.reasoning.delta": ChunkEncoder._add_reasoning,
    "response.function_call_arguments.delta": ChunkEncoder._add_arguments,
    "response.custom_tool_call_input.delta": ChunkEncoder._add_input,
    "response.completed": ChunkEncoder._end,
    "response.incomplete": ChunkEncoder._end,
    "response.failed": ChunkEncoder._end,
}
"""Type of an event → its conversion; events of other types are left out."""


def _make_delta(field: str, call: int) -> Delta:
    """Return a delta that has the placeholder in a field."""
    match field:
        case "arguments":
            function = FunctionDelta(arguments=_PLACEHOLDER)
            return Delta(tool_calls=[CallDelta(index=call, function=function)])
        case "input":
            custom = CustomDelta(input=_PLACEHOLDER)
            return Delta(tool_calls=[CallDelta(index=call, custom=custom)])
        case _:
            return Delta.model_validate({field: _PLACEHOLDER})


def _format_frame(data: bytes) -> bytes:
    return b"data: %b\n\n" % data
