"""Reasoning in chat templates: their switch for it, and the key under which they take it."""

from typing import Any

import pytest

from models.profile.thinking import (
    HARMONY_TAGS,
    KNOWN_ANSWER_TAGS,
    KNOWN_TAGS,
    ThinkingStyle,
)

QWEN = "{% if enable_thinking is defined and enable_thinking is false %}{% endif %}"
GPT_OSS = "{% if reasoning_effort is not defined %}{% set reasoning_effort = 'medium' %}{% endif %}"
MISTRAL = "{% if reasoning_effort not in ['none', 'high'] %}{{ raise_exception('') }}{% endif %}"


@pytest.mark.parametrize(
    ("template", "effort", "keywords"),
    [
        (QWEN, None, {}),
        (QWEN, "none", {"enable_thinking": False}),
        (QWEN, "minimal", {"enable_thinking": False}),
        (QWEN, "low", {"enable_thinking": True}),
        ("{{ thinking }}", "high", {"thinking": True}),
        (GPT_OSS, "medium", {"reasoning_effort": "medium"}),
        (GPT_OSS, "minimal", {"reasoning_effort": "low"}),
        (GPT_OSS, "xhigh", {"reasoning_effort": "high"}),
        (GPT_OSS, "max", {"reasoning_effort": "high"}),
        (GPT_OSS + "'xhigh'", "max", {"reasoning_effort": "xhigh"}),
        (GPT_OSS + "'max'", "max", {"reasoning_effort": "max"}),
        (MISTRAL, "none", {"reasoning_effort": "none"}),
        ("{{ messages }}", "high", {}),
        ("{{ disable_thinking }}", "high", {}),
    ],
)
def test_a_template_is_told_what_it_asks_for(
    template: str, effort: str | None, keywords: dict[str, Any]
) -> None:
    assert ThinkingStyle(template).keywords(effort) == keywords


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("{{ message.reasoning_content }}", "reasoning_content"),
        ("{% if m['reasoning_content'] is string %}", "reasoning_content"),
        ("{% if 'thinking' in message %}", "thinking"),
    ],
)
def test_reasoning_is_given_under_the_key_that_the_template_reads(template: str, key: str) -> None:
    message = ThinkingStyle(template).with_reasoning({"content": "a"}, "t")

    assert message == {"content": "a", key: "t"}


@pytest.mark.parametrize(
    ("content", "placed"),
    [
        ("a", "<think>\nt\n</think>\n\na"),
        (None, "<think>\nt\n</think>\n\n"),
        ([], [{"type": "text", "text": "<think>\nt\n</think>\n\n"}]),
    ],
)
def test_a_template_that_reads_none_gets_it_in_tags(content: Any, placed: Any) -> None:
    template = "{{ 'thinking' }}{{ message.content }}"

    assert ThinkingStyle(template).with_reasoning({"content": content}, "t") == {"content": placed}


def test_without_reasoning_a_message_stays_as_it_is() -> None:
    assert ThinkingStyle("").with_reasoning({"content": "a"}, None) == {"content": "a"}


@pytest.mark.parametrize(
    ("template", "vocabulary", "number"),
    [
        ("{{ m.content.split('</think>')[-1] }}", (), 0),
        ("", ("[THINK]", "[/THINK]"), 4),
        ("", ("<end>",), None),
        ("", ("<|end|>", "<|close|>think<|sep|>"), None),
        ("<think>", ("[THINK]", "[/THINK]"), 0),
    ],
)
def test_tags_are_known_from_the_template_or_the_tokens(
    template: str, vocabulary: tuple[str, ...], number: int | None
) -> None:
    expected = None if number is None else KNOWN_TAGS[number]

    assert ThinkingStyle(template, vocabulary).tags == expected


def test_reasoning_that_the_template_begins_is_closed_if_there_is_to_be_none() -> None:
    style = ThinkingStyle("<think></think>")

    assert style.opens_reasoning("a<think>\n")
    assert style.close_reasoning("a<think>\n", None) == "a<think>\n"
    assert style.close_reasoning("a<think>\n", "none") == "a<think>\n\n</think>\n\n"
    assert style.close_reasoning("a", "none") == "a"
    assert not ThinkingStyle("").opens_reasoning("a<think>\n")


def test_reasoning_that_is_kept_survives_a_template_that_cuts_it_off() -> None:
    template = "{{ message.content.split('</think>')[-1] }}"
    style = ThinkingStyle(template)

    usual = style.with_reasoning({"content": "a"}, "Hm.")["content"].split("</think>")[-1]
    kept = style.with_kept_reasoning({"content": "a"}, "Hm.")["content"].split("</think>")[-1]

    assert style.restore_tags(usual).strip() == "a"
    assert style.restore_tags(kept) == "<think>\nHm.\n</think>\n\na"
    assert style.with_kept_reasoning({"content": "a"}, None) == {"content": "a"}


def test_gpt_oss_is_known_by_its_channels_and_reads_kept_reasoning_in_messages() -> None:
    style = ThinkingStyle("<|start|>assistant<|channel|>final<|message|>{{ message.thinking }}")
    kept = style.with_kept_reasoning({"content": "a"}, "Hm.")["content"]
    calling = style.with_kept_reasoning({"content": ""}, "Hm.")["content"]

    assert style.tags == HARMONY_TAGS
    assert style.restore_tags(f"<|start|>assistant<|channel|>final<|message|>{kept}<|end|>") == (
        "<|start|>assistant<|channel|>analysis<|message|>Hm.<|end|>"
        "<|start|>assistant<|channel|>final<|message|>a<|end|>"
    )
    assert style.restore_tags(f"{HARMONY_TAGS.opener}{calling}<|end|>") == (
        "<|channel|>analysis<|message|>Hm.<|end|>"
    )


@pytest.mark.parametrize(
    ("template", "number"),
    [
        ("<think> <answer>", 1),
        ("<|START_THINKING|> <|START_RESPONSE|>", 2),
        ("<|open|> <|sep|> <|close|>", 3),
        ("<think>", None),
        ("<answer>", None),
    ],
)
def test_tags_around_answers_are_those_of_models_that_reason(
    template: str, number: int | None
) -> None:
    expected = None if number is None else KNOWN_ANSWER_TAGS[number]

    assert ThinkingStyle(template).answer_tags == expected


def test_kimi_k3_reasons_unless_its_answer_has_begun() -> None:
    style = ThinkingStyle("<|open|> <|sep|> <|close|>")

    assert style.opens_reasoning("<|open|>think<|sep|>")
    assert style.opens_reasoning("")
    assert not style.opens_reasoning("<|open|>response<|sep|>")
