"""Finished responses as `chat.completion` objects."""

from typing import Any

import orjson
import pytest

from api.chat.response import CompletionFailedError, complete_chat
from models.recording.recorder import Recorder
from models.responses.status import ResponseStatus
from models.schemas.item_events import SearchInProgress
from models.schemas.parts import SearchResult, TokenLogprob, UrlCitation
from tests.unit.api.chat.generated import Write, make_events, make_record, response_of

_CITATION = UrlCitation(start_index=1, end_index=4, url="https://a.example", title="A")


def complete(
    write: Write,
    status: ResponseStatus = ResponseStatus.COMPLETED,
    parameters: dict[str, Any] | None = None,
    **cause: Any,
) -> Any:
    record = make_record(**parameters or {})
    events = make_events(record, write, status, **cause)
    return orjson.loads(complete_chat(record, response_of(events)))


def say(recorder: Recorder) -> None:
    recorder.writer().add_text("Hello.")


def call(recorder: Recorder) -> None:
    writer = recorder.writer()
    for argument in "12":
        writer.open_call("function_call", name="f")
        writer.add_arguments('{"a": ')
        writer.add_arguments(argument + "}")
        writer.close()


def call_custom(recorder: Recorder) -> None:
    """Call a function, then a custom tool."""
    writer = recorder.writer()
    writer.open_call("function_call", name="f")
    writer.open_call("custom_tool_call", name="p")
    writer.add_arguments("a")
    writer.add_arguments("a")


def search(recorder: Recorder) -> None:
    """Reason, write, search and write again, with a citation."""
    writer = recorder.writer()
    writer.add_reasoning("Hm.")
    writer.add_text("I look. ")
    writer.open_hosted("web_search_call", action={"type": "search", "query": "a"})
    writer.advance(SearchInProgress)
    writer.close("failed", results=[SearchResult(url="https://a.example")])
    writer.add_reasoning("So.")
    writer.add_text("Found.")
    writer.add_annotation(_CITATION)


def test_it_works() -> None:
    record = make_record()

    completion = orjson.loads(complete_chat(record, response_of(make_events(record, say))))

    assert completion == {
        "id": f"chatcmpl-{record.id.hex}",
        "object": "chat.completion",
        "created": int(record.created_at.timestamp()),
        "model": record.model,
        "service_tier": "default",
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hello.",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": 5,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 2,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "metadata": {},
    }


def test_calls_end_a_message_that_has_no_text() -> None:
    [choice] = complete(call)["choices"]

    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    calls = choice["message"]["tool_calls"]
    assert [called["function"] for called in calls] == [
        {"name": "f", "arguments": '{"a": 1}'},
        {"name": "f", "arguments": '{"a": 2}'},
    ]
    assert len({called["id"] for called in calls}) == 2


def test_calls_of_custom_tools_are_among_them() -> None:
    [choice] = complete(call_custom)["choices"]

    assert choice["finish_reason"] == "tool_calls"
    function, custom = choice["message"]["tool_calls"]
    assert function["type"] == "function"
    assert (custom["type"], custom["custom"]) == ("custom", {"name": "p", "input": "aa"})


def test_all_turns_around_a_search_are_one_message() -> None:
    [choice] = complete(search)["choices"]

    message = choice["message"]
    assert message["content"] == "I look. Found."
    assert message["reasoning_content"] == "Hm.\n\nSo."
    [annotation] = message["annotations"]
    cited = annotation["url_citation"]
    assert message["content"][cited["start_index"] : cited["end_index"]] == "oun"
    assert choice["finish_reason"] == "stop"


def test_each_choice_has_its_own_items() -> None:
    def write(recorder: Recorder) -> None:
        recorder.writer(0).add_text("a")
        recorder.writer(1).open_call("function_call", name="f")
        recorder.writer(1).close()

    choices = complete(write, parameters={"n": 3})["choices"]

    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert [choice["finish_reason"] for choice in choices] == ["stop", "tool_calls", "stop"]
    assert [choice["message"]["content"] for choice in choices] == ["a", None, ""]


@pytest.mark.parametrize("asked", [{"logprobs": True}, {"top_logprobs": 2}])
def test_log_probabilities_are_given_if_they_are_asked_for(asked: dict[str, Any]) -> None:
    entry = TokenLogprob(token="a", logprob=-1.0, bytes=[97], top_logprobs=[])

    def write(recorder: Recorder) -> None:
        for token in (1, 2):
            recorder.writer().add_tokens([token], [entry])
            recorder.writer().add_text("a")

    [choice] = complete(write, parameters=asked)["choices"]

    assert choice["logprobs"] == {"content": [entry.model_dump()] * 2, "refusal": None}


@pytest.mark.parametrize(
    ("reason", "finish_reason"),
    [
        ("max_output_tokens", "length"),
        ("max_response_seconds", "length"),
        ("content_filter", "content_filter"),
    ],
)
@pytest.mark.parametrize("write", [say, call, lambda _: None], ids=["text", "calls", "nothing"])
def test_a_completion_that_was_cut_off_says_why(
    write: Write, reason: str, finish_reason: str
) -> None:
    details = {"reason": reason}

    [choice] = complete(write, ResponseStatus.INCOMPLETE, incomplete_details=details)["choices"]

    assert choice["finish_reason"] == finish_reason


def test_only_the_choice_that_was_cut_off_says_so() -> None:
    def write(recorder: Recorder) -> None:
        recorder.writer(0).add_text("a")
        recorder.writer(1).add_text("b")
        recorder.writer(0).close()

    choices = complete(
        write,
        ResponseStatus.INCOMPLETE,
        {"n": 2},
        incomplete_details={"reason": "max_output_tokens"},
    )["choices"]

    assert [choice["finish_reason"] for choice in choices] == ["stop", "length"]


def test_a_failure_is_an_error() -> None:
    error = {"code": "server_error", "message": "The worker failed."}

    with pytest.raises(CompletionFailedError) as raised:
        complete(say, ResponseStatus.FAILED, error=error)

    assert (raised.value.code, raised.value.message) == ("server_error", "The worker failed.")
    assert raised.value.http_status == 500


def test_and_so_is_a_cancel() -> None:
    with pytest.raises(CompletionFailedError) as raised:
        complete(say, ResponseStatus.CANCELLED)

    assert raised.value.code == "cancelled"
