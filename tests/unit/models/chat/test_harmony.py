"""History of gpt-oss: each call with its reasoning and its output, and no message left out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.chat.prompt import Prompt
from models.chat.template_encoder import TemplateEncoder
from tests.chat_styles.styles import STYLES

TOOL = {
    "type": "function",
    "function": {
        "name": "find",
        "description": "Find it.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TemplateEncoder:
    folder: Path = tmp_path_factory.mktemp("gpt-oss")
    return replace(STYLES["gpt-oss"], shows_tools=False).write(folder)


def message(role: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text}


def reasoning(text: str) -> dict[str, Any]:
    return {"type": "reasoning", "content": [{"type": "reasoning_text", "text": text}]}


def call(number: str, name: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": number, "name": name, "arguments": '{"place":"x"}'}


def output(number: str, text: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": number, "output": text}


def rendered(encoder: TemplateEncoder, *items: dict[str, Any], **fields: Any) -> list[str]:
    """Return the messages of the prompt after those of system and developer."""
    prompt = Prompt(instructions="Be brief.", items=items, tools=[TOOL], **fields)
    text: str = encoder.tokenizer.decode(encoder.encode(prompt))
    return text.split("<|start|>")[3:]


def test_its_calls_are_read_and_its_tools_described(encoder: TemplateEncoder) -> None:
    prompt = Prompt(instructions="Be brief.", items=[message("user", "q")], tools=[TOOL])
    text: str = encoder.tokenizer.decode(encoder.encode(prompt))

    assert (encoder.profile.call_style, encoder.profile.takes_tools) == ("harmony", True)
    assert "# Instructions\n\nBe brief." in text
    assert "type find = (_: {" in text


@pytest.mark.parametrize(("effort", "level"), [("high", "high"), ("none", "low"), (None, "medium")])
def test_the_effort_is_named(encoder: TemplateEncoder, effort: str | None, level: str) -> None:
    prompt = Prompt(instructions=None, items=[message("user", "q")], effort=effort)

    assert f"Reasoning: {level}" in encoder.tokenizer.decode(encoder.encode(prompt))


def test_outputs_follow_their_calls_and_reasoning_goes_before_them(
    encoder: TemplateEncoder,
) -> None:
    items = [
        message("user", "q"),
        *(reasoning("Hm."), message("assistant", "I ask."), call("1", "find"), call("2", "other")),
        *(output("1", "one"), output("2", "two")),
    ]

    assert rendered(encoder, *items) == [
        "user<|message|>q<|end|>",
        "assistant<|channel|>final<|message|>I ask.<|end|>",
        "assistant<|channel|>analysis<|message|>Hm.<|end|>",
        'assistant to=functions.find<|channel|>commentary json<|message|>{"place": "x"}<|call|>',
        'functions.find to=assistant<|channel|>commentary<|message|>"one"<|end|>',
        'assistant to=functions.other<|channel|>commentary json<|message|>{"place": "x"}<|call|>',
        'functions.other to=assistant<|channel|>commentary<|message|>"two"<|end|>',
        "assistant",
    ]


def test_later_messages_of_developers_are_not_left_out(encoder: TemplateEncoder) -> None:
    items = [message("user", "q"), message("developer", "now"), message("user", "r")]

    assert "user<|message|>now<|end|>" in rendered(encoder, *items)


def test_reasoning_of_earlier_turns_can_be_kept(encoder: TemplateEncoder) -> None:
    items = [
        message("user", "q"),
        reasoning("Hm."),
        message("assistant", "a"),
        message("user", "r"),
    ]

    assert rendered(encoder, *items)[1:2] == ["assistant<|channel|>final<|message|>a<|end|>"]
    assert rendered(encoder, *items, keeps_reasoning=True)[1:3] == [
        "assistant<|channel|>analysis<|message|>Hm.<|end|>",
        "assistant<|channel|>final<|message|>a<|end|>",
    ]
