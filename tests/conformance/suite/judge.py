"""Checks of any response against the specification: its types, and the rules that types omit."""

import json
from typing import Any

import httpx2 as httpx
from openresponses_types import types as spec
from pydantic import BaseModel, TypeAdapter

Json = dict[str, Any]

TERMINAL = ("response.completed", "response.incomplete", "response.failed")


def _event_types() -> dict[str, TypeAdapter[Any]]:
    found = {}
    for kind in vars(spec).values():
        if isinstance(kind, type) and issubclass(kind, BaseModel) and "Streaming" in kind.__name__:
            annotation: Any = kind.model_fields["type"].annotation
            [name] = annotation
            found[name.value] = TypeAdapter(kind)
    return found


EVENT_TYPES = _event_types()


def judge_response(body: Json) -> Json:
    """Fail unless this is a valid response of the specification; return it."""
    spec.ResponseResource.model_validate_json(json.dumps(body))
    for position, item in enumerate(body["output"]):
        assert {"id", "type", "status"} <= item.keys()
        if item["status"] == "incomplete":
            assert position == len(body["output"]) - 1
            assert body["status"] == "incomplete"
    assert (body["status"] == "completed") <= (body["completed_at"] is not None)
    assert (body["status"] == "incomplete") == (body["incomplete_details"] is not None)
    if usage := body["usage"]:
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    return body


def judge_events(events: list[Json]) -> Json:
    """Fail unless these are all events of one response, in order; return the final response."""
    for event in events:
        EVENT_TYPES[event["type"]].validate_json(json.dumps(event))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    assert events[1]["type"] in ("response.queued", "response.in_progress")
    assert [event["type"] in TERMINAL for event in events].index(True) == len(events) - 1
    state = _OutputState()
    for event in events[:-1]:
        state.apply(event)
    final = judge_response(events[-1]["response"])
    assert events[-1]["type"] == f"response.{final['status']}"
    assert final["output"] == state.done
    return final


class _OutputState:
    """Output items as the events open, extend and close them."""

    def __init__(self) -> None:
        self.open: dict[int, Json] = {}
        self.done: list[Json] = []
        self._parts: dict[tuple[int, int], str] = {}
        self._arguments: dict[int, str] = {}

    def apply(self, event: Json) -> None:
        kind = event["type"].removeprefix("response.")
        if kind in ("created", "queued", "in_progress"):
            assert not self.open
            assert not self.done
            return
        index = event["output_index"]
        if kind == "output_item.added":
            assert index == len(self.open) + len(self.done)
            assert event["item"]["status"] == "in_progress"
            self.open[index] = event["item"]
            return
        item = self.open[index]
        if kind == "output_item.done":
            assert event["item"]["id"] == item["id"]
            assert not [place for place in self._parts if place[0] == index]
            self.done.append(self.open.pop(index) | event["item"])
            return
        assert event["item_id"] == item["id"]
        self._grow(kind, index, event)

    def _grow(self, kind: str, index: int, event: Json) -> None:
        if kind.startswith("function_call_arguments"):
            so_far = self._arguments.get(index, "")
            self._arguments[index] = so_far + event.get("delta", "")
            assert event.get("arguments", so_far) == so_far
            return
        part_index: Any = event.get("content_index", event.get("summary_index", 0))
        place = (index, part_index)
        if kind.endswith("part.added"):
            assert place not in self._parts
            self._parts[place] = ""
        elif kind.endswith("part.done"):
            assert event["part"]["text"] == self._parts.pop(place)
        elif kind.endswith(".delta"):
            self._parts[place] += event["delta"]
        elif kind.endswith(".done"):
            assert event["text"] == self._parts[place]


def judge_stream(answer: httpx.Response) -> Json:
    """Fail unless this is a valid event stream of the specification; return the final response."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = [frame for frame in answer.text.split("\n\n") if frame and not frame.startswith(":")]
    assert frames.pop() == "data: [DONE]"
    events = []
    for frame in frames:
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return judge_events(events)


def text_of(response: Json) -> str:
    """Return the text of all messages of the output."""
    return "".join(
        part["text"]
        for item in response["output"]
        if item["type"] == "message"
        for part in item["content"]
    )


def calls_of(response: Json) -> list[Json]:
    """Return the function calls of the output."""
    return [item for item in response["output"] if item["type"] == "function_call"]
