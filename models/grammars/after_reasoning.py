"""Grammars that hold for the answer, and leave what the model thinks before it free."""

import re

import orjson

from models.profile.thinking import ThinkTags

_START = "the_answer"
"""What the first grammar is called where it has no name."""
_SPACE = r"SPACE: /[ \t\r\n]{1,8}/"


def after_thought(grammar: str, tags: ThinkTags, *, is_open: bool) -> str:
    """An llguidance grammar with a thought before what it allows.

    `is_open`: the prompt ends within the thought; otherwise the model may begin one, or none. The
    output cannot end before the answer.
    """
    first, *others = orjson.loads(grammar)["grammars"]
    name = first.get("name") or _START
    opened = "thought" if is_open else "(SPACE? OPENER thought)?"
    lark = "\n".join(
        [
            f"start: {opened} SPACE? @{name}",
            f"thought[lazy]: /(.|\\n)*{_escaped(tags.closer)}/",
            f"OPENER: /{_escaped(tags.opener)}/",
            _SPACE,
        ]
    )
    grammars = [{"lark_grammar": lark}, {**first, "name": name}, *others]
    return orjson.dumps({"grammars": grammars}).decode()


def _escaped(text: str) -> str:
    return re.escape(text).replace("/", r"\/")
