"""Events of responses as `chat.completion.chunk` objects."""

from typing import Any

import orjson
import pytest

from api.chat.chunks import ChunkEncoder
from api.chat.response import complete_chat
from api.streaming.obfuscation import STEP
from models.errors import UnavailableError
from models.recording.recorder import Recorder
from models.responses.status import ResponseStatus
from models.schemas.parts import TokenLogprob
from tests.unit.api.chat.generated import Write, make_events, make_record, response_of
from tests.unit.api.chat.test_response import call, call_custom, say, search


def stream(
    write: Write,
    status: ResponseStatus = ResponseStatus.COMPLETED,
    parameters: dict[str, Any] | None = None,
    *,
    includes_usage: bool = False,
    is_padded: bool = False,
    **cause: Any,
) -> list[dict[str, Any]]:
    """Return the chunks of a whole stream."""
    record = make_record(**parameters or {})
    encoder = ChunkEncoder(record, includes_usage=includes_usage, is_padded=is_padded)
    frames = b"".join(map(encoder.encode, make_events(record, write, status, **cause)))
    return [orjson.loads(frame.removeprefix(b"data: ")) for frame in frames.split(b"\n\n") if frame]


def deltas(chunks: list[dict[str, Any]], choice: int = 0) -> list[dict[str, Any]]:
    """Return the deltas of a choice."""
    pieces = (piece for chunk in chunks for piece in chunk["choices"])
    return [piece["delta"] for piece in pieces if piece["index"] == choice]


def accumulate(chunks: list[dict[str, Any]], choice: int = 0) -> dict[str, Any]:
    """Return the message that the deltas of a choice add up to."""
    message: dict[str, Any] = {"content": ""}
    calls: dict[int, dict[str, Any]] = {}
    for delta in deltas(chunks, choice):
        for name in ("content", "reasoning_content"):
            if name in delta:
                message[name] = message.get(name, "") + delta[name]
        if "annotations" in delta:
            message.setdefault("annotations", []).extend(delta["annotations"])
        for piece in delta.get("tool_calls", ()):
            if "id" in piece:
                calls[piece["index"]] = {name: piece[name] for name in piece.keys() - {"index"}}
            elif "custom" in piece:
                calls[piece["index"]]["custom"]["input"] += piece["custom"]["input"]
            else:
                call = calls[piece["index"]]
                call["function"]["arguments"] += piece["function"]["arguments"]
    return message | {"tool_calls": list(calls.values())}


def test_it_works() -> None:
    record = make_record()
    encoder = ChunkEncoder(record, includes_usage=False, is_padded=False)

    frames = [frame for event in make_events(record, say) if (frame := encoder.encode(event))]

    first, text, last = (orjson.loads(frame.removeprefix(b"data: ")) for frame in frames)
    assert first == {
        "id": f"chatcmpl-{record.id.hex}",
        "object": "chat.completion.chunk",
        "created": int(record.created_at.timestamp()),
        "model": record.model,
        "service_tier": "default",
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": ""},
                "logprobs": None,
                "finish_reason": None,
            }
        ],
    }
    assert text["choices"][0]["delta"] == {"content": "Hello."}
    assert last["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "stop",
    }


@pytest.mark.parametrize(
    "write", [say, call, call_custom, search], ids=["text", "calls", "custom", "search"]
)
def test_the_chunks_add_up_to_the_completion(write: Write) -> None:
    record = make_record()
    encoder = ChunkEncoder(record, includes_usage=False, is_padded=True)
    events = make_events(record, write)
    frames = b"".join(map(encoder.encode, events)).split(b"\n\n")[:-1]
    chunks = [orjson.loads(frame.removeprefix(b"data: ")) for frame in frames]

    [choice] = orjson.loads(complete_chat(record, response_of(events)))["choices"]

    message, whole = accumulate(chunks), choice["message"]
    assert message["content"] == (whole["content"] or "")
    assert message.get("reasoning_content") == whole.get("reasoning_content")
    assert message.get("annotations", []) == whole["annotations"]
    assert message["tool_calls"] == whole.get("tool_calls", [])
    assert chunks[-1]["choices"][0]["finish_reason"] == choice["finish_reason"]


def test_calls_are_numbered_within_their_choice() -> None:
    def write(recorder: Recorder) -> None:
        for choice in (0, 1, 1):
            recorder.writer(choice).open_call("function_call", name="f")
            recorder.writer(choice).close()

    chunks = stream(write, parameters={"n": 2})

    for choice, numbers in ((0, [0]), (1, [0, 1])):
        pieces = [
            delta["tool_calls"][0] for delta in deltas(chunks, choice) if "tool_calls" in delta
        ]
        assert [piece["index"] for piece in pieces] == numbers


def test_each_choice_begins_and_ends() -> None:
    def write(recorder: Recorder) -> None:
        for choice in (0, 1, 0):
            recorder.writer(choice).add_text("a")

    chunks = stream(write, parameters={"n": 2})

    for choice, text in ((0, "aa"), (1, "a")):
        assert deltas(chunks, choice)[0]["role"] == "assistant"
        assert accumulate(chunks, choice)["content"] == text
    ends = [chunk["choices"][0] for chunk in chunks[-2:]]
    assert [end["finish_reason"] for end in ends] == ["stop", "stop"]
    assert [end["index"] for end in ends] == [0, 1]


def test_usage_comes_last_and_only_if_it_is_asked_for() -> None:
    *chunks, last = stream(say, includes_usage=True)

    assert {chunk["usage"] for chunk in chunks} == {None}
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 12
    assert not any("usage" in chunk for chunk in stream(say))


def test_log_probabilities_come_with_their_text() -> None:
    entry = TokenLogprob(token="a", logprob=-1.0, bytes=[97], top_logprobs=[])

    def write(recorder: Recorder) -> None:
        recorder.writer().add_tokens([1], [entry])
        recorder.writer().add_text("a")

    for parameters, expected in (
        ({"logprobs": True}, {"content": [entry.model_dump()], "refusal": None}),
        ({}, None),
    ):
        chunks = stream(write, parameters=parameters)
        assert chunks[1]["choices"][0]["logprobs"] == expected


def test_padding_hides_how_long_a_delta_is() -> None:
    record = make_record()
    encoder = ChunkEncoder(record, includes_usage=False, is_padded=True)

    frames = b"".join(map(encoder.encode, make_events(record, search))).split(b"\n\n")[:-1]

    assert {len(frame.removeprefix(b"data: ")) % STEP for frame in frames} == {0}
    assert not any("obfuscation" in chunk for chunk in stream(search))


def test_a_failure_ends_the_stream_with_an_error() -> None:
    error = {"code": "server_error", "message": "The worker failed."}

    *_, last = stream(say, ResponseStatus.FAILED, error=error, includes_usage=True)

    assert last == {
        "error": {
            "message": "The worker failed.",
            "type": "server_error",
            "param": None,
            "code": "server_error",
        }
    }


def test_and_so_does_a_cancel() -> None:
    *_, last = stream(say, ResponseStatus.CANCELLED)

    assert last["error"]["code"] == "cancelled"


def test_what_keeps_the_stream_from_going_on_is_told() -> None:
    encoder = ChunkEncoder(make_record(), includes_usage=False, is_padded=True)

    frame = encoder.encode_error(UnavailableError(), 7)

    assert orjson.loads(frame.removeprefix(b"data: ")) == UnavailableError().body()
