"""Turns of gpt-oss: their channels, recipients and ends, also where they deviate."""

import pytest

from models.profile.formats.named_json.harmony import HARMONY
from models.profile.formats.table import GENERIC
from models.profile.thinking import HARMONY_TAGS
from tests.unit.worker.parsing.native_turns import ReadTurn, read
from worker.parsing.turns import TurnFormat

FORMAT = TurnFormat(think_tags=HARMONY_TAGS, call_format=HARMONY, functions=frozenset({"f"}))
FINAL = "<|channel|>final<|message|>"
HEAD = "<|channel|>commentary to=functions.f <|constrain|>json<|message|>"
CALL = f'{HEAD}{{"a": "<|end|>"}}'


def read_everywhere(turn_format: TurnFormat, text: str) -> ReadTurn:
    whole = read(turn_format, text)
    assert read(turn_format, *text) == whole
    for cut in range(len(text)):
        assert read(turn_format, text[:cut], text[cut:]) == whole
    return whole


@pytest.mark.parametrize(
    "text",
    [
        f"{CALL}<|call|>",
        f"{CALL}",
        f"{CALL} <|end|>",
        f" to=functions.f{CALL.replace(' to=functions.f', '')}<|call|>",
        f"<|start|>assistant{CALL}<|call|>",
        CALL.replace(" <|constrain|>json", "").replace("functions.f", "f") + "<|call|>",
        CALL.replace("commentary", "analysis") + "<|call|>",
    ],
)
def test_a_call_may_be_addressed_in_several_ways(text: str) -> None:
    turn = read_everywhere(FORMAT, text)

    assert (turn.calls, turn.num_ended) == ([("f", '{"a": "<|end|>"}')], 1)
    assert turn.answer + turn.reasoning == ""


@pytest.mark.parametrize(
    "text",
    [
        HEAD.replace("functions.f", "functions.g") + '{"a": 1}',
        HEAD.replace("functions.f", "python") + "print(1)",
        f"{HEAD}print(1)",
    ],
)
def test_what_is_no_call_is_shown(text: str) -> None:
    assert read_everywhere(FORMAT, text) == ReadTurn([], "", text, 0)


@pytest.mark.parametrize("text", ["Hello", "Hello <b>", "1 < 2", "<|constr"])
def test_an_answer_without_a_header_is_an_answer(text: str) -> None:
    expected = "" if text == "<|constr" else text

    assert read_everywhere(FORMAT, text).answer == expected


def test_reasoning_comments_calls_and_answers_follow_each_other() -> None:
    thought = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
    comment = "<|channel|>commentary<|message|>I ask. <|end|><|start|>assistant"

    turn = read_everywhere(
        FORMAT, f"{thought}{comment}{CALL}<|call|><|start|>assistant{FINAL}It is 7.<|return|>"
    )

    assert (turn.reasoning, turn.answer, len(turn.calls)) == ("Hm.", "I ask. It is 7.", 1)


def test_a_thought_that_never_ends_is_reasoning() -> None:
    turn = read_everywhere(
        FORMAT, f"<|channel|>analysis<|message|>{CALL.partition('<|message|>')[2]}"
    )

    assert turn == ReadTurn([], '{"a": "', '"}', 0)


def test_a_call_that_is_cut_off_is_not_shown_without_its_arguments() -> None:
    assert read_everywhere(FORMAT, HEAD) == ReadTurn([], "", "", 0)
    assert read_everywhere(FORMAT, f'{HEAD}{{"a": <|call|>').calls == [("f", '{"a": ')]


def test_an_endless_header_is_an_answer() -> None:
    text = "<|channel|>" + "x" * 3000

    assert read(FORMAT, *text).answer == text


def test_calls_in_the_generic_format_stand_in_the_answer() -> None:
    generic = TurnFormat(think_tags=HARMONY_TAGS, call_format=GENERIC, functions=frozenset({"f"}))
    call = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'

    assert read_everywhere(generic, f"{FINAL}{call}<|return|>").calls == [("f", '{"a": 1}')]
    assert read_everywhere(TurnFormat(think_tags=HARMONY_TAGS), f"{FINAL}{call}").answer == call
