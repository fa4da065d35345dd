"""Patterns of property names that match few names become properties.

llguidance would begin another property after the comma although all such names are taken.
"""

import re
from itertools import product
from re import _constants as codes
from re import _parser as parser
from typing import Any

import regex

from models.grammars.json_schema.errors import UnenforceableError
from models.grammars.json_schema.nodes import Node

_MAX_NAMES = 64
_MAX_MATCHES = 10_000
_MATCH_S = 0.1
_CLASS = re.compile(r"(?<!\\)\[\^?(?:\\.|[^\]\\])*\]")
_NAMED_GROUP = re.compile(r"\(\?<(?![=!])")


def name_properties(node: Node) -> Node:
    """Return the node with properties in the place of patterns that match few names."""
    patterns = node.get("patternProperties")
    if not isinstance(patterns, dict):
        return node
    properties, infinite = dict(node.get("properties", {})), {}
    num_names = len(properties) + len(node.get("required", ()))
    if len(patterns) * num_names > _MAX_MATCHES:
        raise UnenforceableError(
            f"patternProperties: there are more than {_MAX_MATCHES} pairs of names and patterns"
        )
    for pattern, schema in patterns.items():
        names = matching_names(pattern)
        if names is None:
            infinite[pattern] = schema
            names = [name for name in properties if matches(pattern, name)]
        for name in names:
            properties[name] = (
                {"allOf": [properties[name], schema]} if name in properties else schema
            )
    others = {name: value for name, value in node.items() if name != "patternProperties"}
    named = {**others, "properties": properties} if properties else others
    return {**named, "patternProperties": infinite} if infinite else named


def matches(pattern: str, name: str) -> bool:
    """Return True if a pattern matches a name; raise if that takes long."""
    try:
        return regex.search(pattern, name, regex.V0, timeout=_MATCH_S) is not None
    except regex.error:
        return False  # it is refused when it is rewritten
    except TimeoutError:
        reason = "a pattern takes too long to match a name of the same object"
        raise UnenforceableError(f"patternProperties: {reason}") from None


def matching_names(pattern: str) -> list[str] | None:
    """Return all texts that a pattern matches, if they are few; None otherwise."""
    if "--" in pattern:
        return None
    try:
        parsed = list(parser.parse(_in_python(pattern)))
    except (re.error, RecursionError):
        return None
    is_whole = [parsed[0], parsed[-1]] if len(parsed) > 1 else []
    if is_whole != [(codes.AT, codes.AT_BEGINNING), (codes.AT, codes.AT_END)]:
        return None
    return _texts(parsed[1:-1])


def _in_python(pattern: str) -> str:
    """Return a pattern as Python reads it without a warning that it may read it differently."""
    escaped = _CLASS.sub(
        lambda found: found[0][0] + re.sub(r"(?<!\\)[\[&~|]", r"\\\g<0>", found[0][1:]), pattern
    )
    return _NAMED_GROUP.sub("(?P<", escaped)


def _texts(items: list[tuple[Any, Any]]) -> list[str] | None:
    """Return the texts of a sequence of regex nodes; None if they are many or unknown."""
    texts = [""]
    for code, argument in items:
        following = _texts_of(code, argument)
        if following is None or len(texts) * len(following) > _MAX_NAMES:
            return None
        texts = [first + second for first in texts for second in following]
    return list(dict.fromkeys(texts))


def _texts_of(code: Any, argument: Any) -> list[str] | None:
    if code is codes.LITERAL:
        return [chr(argument)]
    if code is codes.IN:
        return _members(argument)
    if code is codes.SUBPATTERN:
        return None if argument[1] or argument[2] else _texts(list(argument[3]))
    if code is codes.BRANCH:
        found = [_texts(list(branch)) for branch in argument[1]]
        known = [text for texts in found if texts is not None for text in texts]
        return None if None in found or len(known) > _MAX_NAMES else known
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
        return _repeated(*argument)
    return None


def _members(items: list[tuple[Any, Any]]) -> list[str] | None:
    members: list[str] = []
    for code, argument in items:
        if code is codes.LITERAL:
            members.append(chr(argument))
        elif code is codes.RANGE and argument[1] - argument[0] < _MAX_NAMES:
            members += [chr(point) for point in range(argument[0], argument[1] + 1)]
        else:
            return None
    return members


def _repeated(least: int, most: int, items: Any) -> list[str] | None:
    texts = _texts(list(items))
    if texts is None or most > _MAX_NAMES or len(texts) ** most > _MAX_NAMES:
        return None
    return [
        "".join(parts) for count in range(least, most + 1) for parts in product(texts, repeat=count)
    ]
