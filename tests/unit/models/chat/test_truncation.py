from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.chat.prompt import Prompt
from models.chat.prompt_tokenizer import PromptTooLongError
from models.chat.truncation import fit, room_for_prompt

Item = dict[str, Any]


def message(role: str, text: str) -> Item:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def call(call_id: str, text: str = "x") -> Item:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": text}


def output(call_id: str, text: str = "x") -> Item:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def texts_of(items: list[Item]) -> str:
    return "".join(
        item.get("arguments") or item.get("output") or item["content"][0]["text"] for item in items
    )


class Encoder:
    """Encoder with one token per character and one more per item; remembers its last prompt."""

    def __init__(self) -> None:
        self.num_calls = 0
        self.items: list[Item] = []

    def __call__(self, prompt: Prompt) -> list[int]:
        self.num_calls += 1
        self.items = list(prompt.items)
        return [0] * (len(texts_of(self.items)) + len(self.items) + len(prompt.instructions or ""))


def truncate_items(items: list[Item], room: int, instructions: str | None = None) -> list[Item]:
    encoder = Encoder()
    fit(encoder, Prompt(instructions=instructions, items=items), room)
    return encoder.items


def test_what_fits_is_left_alone() -> None:
    items = [message("user", "a"), message("assistant", "b"), message("user", "c")]

    assert truncate_items(items, room=6) == items


def test_the_oldest_turns_go() -> None:
    items = [
        message("user", "aaaa"),
        message("assistant", "bbbb"),
        message("user", "cccc"),
        message("assistant", "dddd"),
        message("user", "eeee"),
    ]

    assert texts_of(truncate_items(items, room=20)) == "ccccddddeeee"
    assert texts_of(truncate_items(items, room=10)) == "eeee"


def test_what_was_said_before_the_first_question_goes_with_it() -> None:
    items = [message("assistant", "aa"), message("user", "bb"), message("user", "cc")]

    assert texts_of(truncate_items(items, room=5)) == "cc"


def test_system_messages_stay() -> None:
    items = [
        message("system", "ss"),
        message("user", "a" * 9),
        message("developer", "dd"),
        message("user", "bb"),
    ]

    assert texts_of(truncate_items(items, room=10)) == "ssddbb"


def test_the_newest_turn_stays_however_long_it_is() -> None:
    items = [message("user", "aa"), message("user", "b" * 99), call("1"), output("1")]

    assert truncate_items(items, room=5) == items[1:]
    assert truncate_items(items[1:], room=5) == items[1:]


def test_instructions_count() -> None:
    items = [message("user", "aaaa"), message("user", "bbbb")]

    assert texts_of(truncate_items(items, room=11, instructions="ii")) == "bbbb"


def test_an_output_goes_with_its_call() -> None:
    items = [
        message("user", "a" * 20),
        call("1"),
        message("user", "b"),
        output("1"),
        message("user", "c"),
    ]

    assert truncate_items(items, room=10) == [items[2], items[4]]


def test_a_call_stays_while_the_newest_turn_goes_on_from_it() -> None:
    items = [message("user", "a"), call("1"), message("user", "b" * 20), message("user", "c")]
    items.append(output("1"))

    assert truncate_items(items, room=10) == [*items[:2], *items[3:]]


def test_many_turns_take_few_tries() -> None:
    items = [message(role, role * 9) for _ in range(200) for role in ("user", "assistant")]
    encoder = Encoder()

    fit(encoder, Prompt(instructions=None, items=items), 4000)

    assert encoder.num_calls <= 4


def refuse_beyond(limit: int) -> Encoder:
    """Return an encoder that refuses longer prompts, with an estimate of their length."""

    class Refusing(Encoder):
        def __call__(self, prompt: Prompt) -> list[int]:
            encoded = super().__call__(prompt)
            if len(encoded) > limit:
                raise PromptTooLongError(len(encoded), limit, "tiny")
            return encoded

    return Refusing()


def test_a_prompt_that_is_refused_for_its_length_loses_turns_all_the_same() -> None:
    items = [message("user", "a" * 50) for _ in range(10)]
    encoder = refuse_beyond(100)

    encoded = fit(encoder, Prompt(instructions=None, items=items), 60)

    assert len(encoded) == 51
    assert encoder.items == items[-1:]


def test_what_must_be_kept_may_still_be_refused() -> None:
    items = [message("user", "a"), message("user", "b" * 500)]

    with pytest.raises(PromptTooLongError, match="at least 501 tokens"):
        fit(refuse_beyond(100), Prompt(instructions=None, items=items), 60)


@pytest.mark.parametrize(
    ("context", "wanted", "room"), [(8192, None, 7168), (8192, 100, 8092), (1000, 900, 750)]
)
def test_room_is_left_for_the_output(context: int, wanted: int | None, room: int) -> None:
    assert room_for_prompt(context, wanted) == room


TURNS = st.lists(
    st.sampled_from(["user", "assistant", "system", "call", "output"]), min_size=1, max_size=30
)


@given(kinds=TURNS, room=st.integers(0, 200))
def test_what_stays_is_in_order_with_its_calls_and_as_much_as_fits(
    kinds: list[str], room: int
) -> None:
    items: list[Item] = []
    for position, kind in enumerate(kinds):
        text = f"{position:03}"
        if kind == "call":
            items.append(call(text, text))
        elif kind == "output":
            open_calls = [item["call_id"] for item in items if item["type"] == "function_call"]
            if open_calls:
                items.append(output(open_calls[-1], text))
        else:
            items.append(message(kind, text))

    kept = truncate_items(items, room)

    positions = [items.index(item) for item in kept]
    assert positions == sorted(positions)
    calls = {item["call_id"] for item in kept if item["type"] == "function_call"}
    assert {i["call_id"] for i in kept if i["type"] == "function_call_output"} <= calls
    assert [i for i in items if i.get("role") == "system"] == [
        i for i in kept if i.get("role") == "system"
    ]
    if len(texts_of(items)) + len(items) <= room:
        assert kept == items
