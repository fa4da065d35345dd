"""Grammars constrain the answer; the reasoning before it is unconstrained."""

import llguidance
import pytest

from models.grammars.after_reasoning import allow_reasoning
from models.profile.thinking import (
    HARMONY_TAGS,
    KIMI_K3_ANSWER_TAGS,
    KIMI_K3_TAGS,
    KNOWN_ANSWER_TAGS,
    KNOWN_TAGS,
    AnswerTags,
    ThinkTags,
)
from tests.unit.models.grammars.test_compile import accepts, grammar_from

SCHEMA = grammar_from({"type": "array", "items": {"type": "integer"}})
REGEX = llguidance.LLMatcher.grammar_from_regex("a+")
TAGS = KNOWN_TAGS[0]
_THOUGHT = "<|channel|>analysis<|message|>Hm.<|end|>"


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "<think>[ </thin\n\n it is {}</think>[1]",
        "\n<think>\nHm\n</think>\n\n[1]",
    ],
)
def test_reasoning_may_come_before_the_answer(text: str) -> None:
    assert accepts(allow_reasoning(SCHEMA, TAGS, is_open=False), text)


@pytest.mark.parametrize(
    "text", ["", "<think>", "<think>hm</think>", "<think>hm</think>[x", "hm</think>[1]", "x"]
)
def test_without_the_answer_it_is_not_complete(text: str) -> None:
    assert not accepts(allow_reasoning(SCHEMA, TAGS, is_open=False), text)


def test_reasoning_that_the_prompt_began_is_ended_first() -> None:
    grammar = allow_reasoning(REGEX, TAGS, is_open=True)

    assert accepts(grammar, "aa</think>aa")
    assert not accepts(grammar, "aa")


@pytest.mark.parametrize("tags", KNOWN_TAGS)
def test_every_known_spelling_can_be_written_in_a_grammar(tags: ThinkTags) -> None:
    assert accepts(allow_reasoning(REGEX, tags, is_open=False), f"{tags.opener}x{tags.closer} a")


def test_a_grammar_that_refers_to_others_by_name_still_finds_them() -> None:
    grammar = (
        '{"grammars":[{"name":"one","lark_grammar":"start: \\"x\\" @two | \\"y\\" @one"},'
        '{"name":"two","lark_grammar":"start: \\"z\\""}]}'
    )

    assert accepts(allow_reasoning(grammar, TAGS, is_open=False), "<think>a</think>yyxz")


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        ("<|channel|>final<|message|>aa", True),
        (f"{_THOUGHT}<|start|>assistant<|channel|>final<|message|>a", True),
        (_THOUGHT, False),
        ("<|channel|>final<|message|>b", False),
        ("aa", False),
    ],
)
def test_an_answer_of_gpt_oss_stands_in_its_final_message(text: str, *, is_allowed: bool) -> None:
    assert accepts(allow_reasoning(REGEX, HARMONY_TAGS, is_open=False), text) is is_allowed


@pytest.mark.parametrize("tags", KNOWN_ANSWER_TAGS)
def test_an_answer_may_stand_between_tags(tags: AnswerTags) -> None:
    grammar = allow_reasoning(REGEX, TAGS, is_open=False, answer_tags=tags)

    for answer in (f"{tags.opener}\na\n{tags.closer}", f"{tags.opener}a", "a"):
        assert accepts(grammar, f"<think>x</think>{answer}")
    assert not accepts(grammar, f"<think>x</think>{tags.opener}b{tags.closer}")


def test_an_answer_that_calls_follow_is_closed_before_them() -> None:
    tags, answer = KIMI_K3_TAGS, KIMI_K3_ANSWER_TAGS
    thought, call = f"Hm.{tags.closer}", "aa"

    free, forced, without = (
        allow_reasoning(REGEX, tags, is_open=True, answer_tags=answer, calls_after=after)
        for after in ("text", "nothing", None)
    )

    said = f"{thought}{answer.opener}I ask: <b>.{answer.closer}{call}"
    silent = f"{thought}{answer.opener}{answer.closer}{call}"
    assert (accepts(free, said), accepts(free, silent)) == (True, True)
    assert (accepts(forced, said), accepts(forced, silent)) == (False, True)
    assert (accepts(without, said), accepts(without, silent)) == (False, False)
    for grammar in (free, forced, without):
        assert accepts(grammar, f"{thought}{call}")
