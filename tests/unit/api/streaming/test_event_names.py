"""Events of reasoning text under the names that OpenAI's clients know."""

import orjson
import pytest

from api.streaming.event_names import rename_event
from models.streams.event_log import LoggedEvent


def event(kind: str) -> LoggedEvent:
    data = {"type": kind, "sequence_number": 7, "delta": "response.reasoning.delta"}
    return LoggedEvent(7, orjson.dumps(data), (1, 2))


@pytest.mark.parametrize("kind", ["delta", "done"])
def test_openai_has_another_name_for_reasoning_text(kind: str) -> None:
    given = event(f"response.reasoning.{kind}")

    assert rename_event(given, "openai") == event(f"response.reasoning_text.{kind}")
    assert rename_event(given, "specification") == given


@pytest.mark.parametrize(
    "kind", ["response.output_text.delta", "response.reasoning_summary_text.delta"]
)
def test_all_other_events_have_one_name(kind: str) -> None:
    assert rename_event(event(kind), "openai") == event(kind)
