"""Independent validators of constrained text: they share no code with what generates it.

JSON is validated by jsonschema-rs, regular expressions by regex, Lark by lark.
"""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

import jsonschema_rs
import regex

Language = Literal["json_schema", "regex", "lark"]

MAX_TEXT = 1 << 20
"""Maximum characters of a text that is validated."""
MAX_DEPTH = 100
"""Maximum levels of nesting of JSON that is validated."""
REGEX_S = 0.5
"""Seconds that a regular expression may take."""
_MAX_INTEGER_DIGITS = 4000
_MAX_EXPONENT_DIGITS = 3
_PATTERN_BYTES = 64 << 20
_NOT_LARK = re.compile(r"%json|%lark|%regex|%llguidance|@|[&~]|\[[^\]\n]*\]\s*:|<")
"""What only llguidance's dialect of Lark has."""
_POSSESSIVE = re.compile(r"[*+?}]\+")


class UnknownValidityError(Exception):
    """A text cannot be validated; the message says why."""


def find_fault(language: Language, source: str, text: str) -> str:
    """Return why a text does not satisfy a constraint; an empty string if it does.

    Raises `UnknownValidityError` if the validator does not know the constraint, or takes too long.
    """
    if len(text) > MAX_TEXT:
        raise UnknownValidityError("the text is too long")
    find: dict[Language, Callable[[str, str], str]] = {
        "json_schema": _find_json_fault,
        "regex": _find_regex_fault,
        "lark": _find_lark_fault,
    }
    return find[language](source, text)


def _find_json_fault(source: str, text: str) -> str:
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_float=_number,
            parse_int=lambda digits: int(digits[:_MAX_INTEGER_DIGITS]),
        )
    except RecursionError:
        raise UnknownValidityError("the JSON is nested too deeply") from None
    except ValueError as error:
        return f"it is not valid JSON: {error}"
    if _is_deeper(value, MAX_DEPTH):
        raise UnknownValidityError("the JSON is nested too deeply")
    fault = next(_schema_validator(source).iter_errors(value), None)
    return "" if fault is None else f"{fault.message} at {_pointer(fault.instance_path)}"


def _number(digits: str) -> Decimal:
    exponent = digits.lower().partition("e")[2].lstrip("+-0")
    if len(exponent) > _MAX_EXPONENT_DIGITS:
        raise UnknownValidityError("a number has a large exponent")
    return Decimal(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a key twice")
    return found


def _is_deeper(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def _pointer(path: list[str | int]) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


@lru_cache(maxsize=64)
def _schema_validator(source: str) -> Any:
    try:
        return jsonschema_rs.validator_for(
            json.loads(source),
            validate_formats=True,
            # Takes linear time, and no reference is fetched.
            pattern_options=jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES),
            offline=True,
        )
    except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise UnknownValidityError(f"the validator does not know the schema: {error}") from None


def _find_regex_fault(source: str, text: str) -> str:
    if _POSSESSIVE.search(source):
        raise UnknownValidityError("the validator has possessive quantifiers")
    try:
        # The classes of characters are those of ASCII in llguidance, too.
        compiled = regex.compile(source, regex.V1 | regex.ASCII)
        matches = compiled.fullmatch(text, timeout=REGEX_S, concurrent=True)
    except regex.error as error:
        raise UnknownValidityError(f"the validator does not know the syntax: {error}") from None
    except TimeoutError:
        raise UnknownValidityError("the validator takes too long") from None
    return "" if matches else "it does not match the regular expression"


def _find_lark_fault(source: str, text: str) -> str:
    """Return the fault of a text. Its time is not bounded: run it in a child."""
    import lark

    if _NOT_LARK.search(source):
        raise UnknownValidityError("the validator does not know llguidance's additions to Lark")
    try:
        parser = lark.Lark(source, parser="earley", lexer="dynamic_complete", ambiguity="resolve")
    except (lark.exceptions.LarkError, re.error) as error:
        raise UnknownValidityError(f"the validator does not know the grammar: {error}") from None
    try:
        parser.parse(text)
    except lark.exceptions.UnexpectedInput as error:
        return f"the grammar does not derive it, from character {error.pos_in_stream}"
    except RecursionError:
        raise UnknownValidityError("the text is nested too deeply") from None
    return ""
