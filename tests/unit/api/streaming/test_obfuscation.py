import orjson
import pytest

from api.streaming.obfuscation import STEP, pad_event
from models.streams.event_log import LoggedEvent


def delta(text: str, kind: str = "response.output_text.delta") -> LoggedEvent:
    return LoggedEvent(7, orjson.dumps({"type": kind, "sequence_number": 7, "delta": text}))


@pytest.mark.parametrize("text", ["", "a", "ä€𝄞", "x" * 63, "x" * 64, "x" * 1000])
def test_padding_hides_how_long_a_delta_is(text: str) -> None:
    event = delta(text)

    data = pad_event(event)

    assert len(data) % STEP == 0
    fields = orjson.loads(data)
    assert isinstance(fields.pop("obfuscation"), str)
    assert fields == orjson.loads(event.data)


def test_an_event_is_padded_the_same_each_time() -> None:
    assert pad_event(delta("a")) == pad_event(delta("a"))


def test_other_events_are_left_alone() -> None:
    event = delta("a", kind="response.output_text.done")

    assert pad_event(event) == event.data
