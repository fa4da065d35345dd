"""Grammars that constrain the answer and leave the reasoning before it free."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import orjson

from models.grammars.literals import Literals, escape
from models.profile.thinking import HARMONY_TAGS, AnswerTags, ThinkTags

_START = "the_answer"
"""Name of the first grammar if it has none."""
_SPACE = r"SPACE: /[ \t\r\n]{1,8}/"
_NO_IDS: Mapping[str, int] = MappingProxyType({})


def allow_reasoning(
    grammar: str,
    tags: ThinkTags,
    *,
    is_open: bool,
    answer_tags: AnswerTags | None = None,
    special_ids: Mapping[str, int] = _NO_IDS,
    calls_after: Literal["nothing", "text"] | None = None,
) -> str:
    """Extend an llguidance grammar by free reasoning before the output that it allows.

    If `is_open`, the prompt ends inside the reasoning; otherwise reasoning is optional. The output
    cannot end before the answer, which may stand between `answer_tags`. `special_ids` are those of
    the special tokens. `calls_after` tells what an answer may consist of that calls follow, in
    formats in which they do.
    """
    first, *others = orjson.loads(grammar)["grammars"]
    name = first.get("name") or _START
    if tags == HARMONY_TAGS:
        lines = harmony_lines(f"final @{name}", special_ids)
    else:
        literals = Literals(special_ids, *tags, *(answer_tags or ()))
        prefix = "thought" if is_open else "(SPACE? opener thought)?"
        answer = _answer(name, literals, answer_tags, calls_after)
        lines = [
            f"start: {prefix} SPACE? {answer}",
            *_thought(tags.closer, literals),
            *_answered(literals, answer_tags, calls_after),
            f"opener: {literals.write(tags.opener)}",
            _SPACE,
        ]
    grammars = [{"lark_grammar": "\n".join(lines)}, {**first, "name": name}, *others]
    return orjson.dumps({"grammars": grammars}).decode()


def harmony_lines(last: str, special_ids: Mapping[str, int]) -> list[str]:
    """Return the rules of a turn of gpt-oss: reasoning and comments, then a last message.

    `last` may use the rule `final`, the header of an answer.
    """
    literals = Literals(special_ids, HARMONY_TEXT)
    return [
        f"start: (thought | comment)* ({last})",
        f"thought: {literals.write(HARMONY_TAGS.opener)} said next",
        f"comment: {literals.write('<|channel|>commentary<|message|>')} said next",
        f"final: {literals.write('<|channel|>final<|message|>')}",
        f"next: {literals.write('<|start|>assistant')}",
        *literals.text_until("said", "<|end|>"),
    ]


HARMONY_TEXT = "<|channel|><|message|><|end|><|start|><|constrain|>"
"""Tokens in a turn of gpt-oss but those that end it."""


def _thought(closer: str, literals: Literals) -> list[str]:
    if literals.has_special(closer):
        return literals.text_until("thought", closer)
    return [f"thought[lazy]: /(.|\\n)*{escape(closer)}/"]


def _answer(name: str, literals: Literals, tags: AnswerTags | None, calls_after: str | None) -> str:
    if tags is None:
        return f"@{name}"
    opener, closer = literals.write(tags.opener), literals.write(tags.closer)
    answers = f"@{name} | {opener} SPACE? @{name} SPACE? ({closer})?"
    if tags.ending and calls_after:
        answers += f" | {opener} answered @{name}"
    return f"({answers})"


def _answered(literals: Literals, tags: AnswerTags | None, calls_after: str | None) -> list[str]:
    """Return the rule of the rest of an answer that calls follow, with what ends it."""
    if tags is None or not tags.ending or not calls_after:
        return []
    if calls_after == "nothing":
        return [f"answered: {literals.write(tags.closer)}"]
    return literals.text_until("answered", tags.closer)
