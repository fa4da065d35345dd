"""Grammars that constrain the answer and leave the reasoning before it free."""

import re

import orjson

from models.profile.thinking import ThinkTags

_START = "the_answer"
"""Name of the first grammar if it has none."""
_SPACE = r"SPACE: /[ \t\r\n]{1,8}/"


def allow_reasoning(grammar: str, tags: ThinkTags, *, is_open: bool) -> str:
    """Extend an llguidance grammar by free reasoning before the output that it allows.

    If `is_open`, the prompt ends inside the reasoning; otherwise reasoning is optional. The output
    cannot end before the answer.
    """
    first, *others = orjson.loads(grammar)["grammars"]
    name = first.get("name") or _START
    prefix = "thought" if is_open else "(SPACE? OPENER thought)?"
    lark = "\n".join(
        [
            f"start: {prefix} SPACE? @{name}",
            f"thought[lazy]: /(.|\\n)*{_escape(tags.closer)}/",
            f"OPENER: /{_escape(tags.opener)}/",
            _SPACE,
        ]
    )
    grammars = [{"lark_grammar": lark}, {**first, "name": name}, *others]
    return orjson.dumps({"grammars": grammars}).decode()


def _escape(text: str) -> str:
    return re.escape(text).replace("/", r"\/")
