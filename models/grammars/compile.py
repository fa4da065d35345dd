"""From `text.format` or `grammar` to the llguidance grammar that the output must follow.

outlines' types say what a schema is; llguidance, its backend that refuses what it cannot enforce,
makes the grammar. Whether that can be followed is checked in `models/grammars/validate.py`.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import llguidance
import orjson
from jsonschema.exceptions import SchemaError

from models.errors import InvalidRequestError
from models.schemas.request.formats import JsonObjectFormat, JsonSchemaFormat
from models.schemas.request.grammars import (
    GRAMMAR_PARAM,
    MAX_GRAMMAR,
    Grammar,
    GrammarList,
    JsonSchemaGrammar,
    LarkGrammar,
    RegexGrammar,
)
from models.schemas.request.parameters import GenerationParameters

MAX_SCHEMA_BYTES = 256 * 1024
MAX_PATTERNS = 1000
MAX_PROPERTIES = 2000
"""Of one object: the time to compile them grows with the square."""
MAX_MINIMUM = 1 << 20
"""No output is that long: a schema that asks for more items or characters has no instance."""

_MAX_CACHED = 64
_MINIMUMS = ("minItems", "minLength", "minProperties")
_DATA_KEYWORDS = ("const", "default", "enum", "examples")
_RULE_TEMPERATURE = re.compile(r"\[[^\]\n]*\btemperature\s*=")


def grammar_of(
    parameters: GenerationParameters, *, param: str = "text.format.schema"
) -> str | None:
    """The llguidance grammar that the output must follow; None for free text.

    Raises a 400 that names `param` for what is no schema.
    """
    if parameters.grammar is not None:
        return _from_grammar(parameters.grammar)
    match parameters.text.format if parameters.text else None:
        case JsonSchemaFormat(schema_=schema):
            return _from_schema(_text_of(schema, param), param)
        case JsonObjectFormat():
            return _from_schema('{"type":"object"}', param)
        case _:
            return None


def schema_grammar(schema: dict[str, Any], *, param: str) -> str:
    """The llguidance grammar of a schema's instances; raises a 400 for what is no schema."""
    return _from_schema(_text_of(schema, param), param)


def _from_grammar(grammar: Grammar) -> str:
    match grammar:
        case RegexGrammar():
            made: str = llguidance.LLMatcher.grammar_from_regex(grammar.value)
            return made
        case LarkGrammar():
            _check_lark(grammar.value)
            # Bare Lark is taken for llguidance's JSON if it begins with a brace.
            return _to_json({"grammars": [{"lark_grammar": grammar.value}]})
        case JsonSchemaGrammar(value=value):
            schema = _parsed(value) if isinstance(value, str) else value
            return _from_schema(_text_of(schema, GRAMMAR_PARAM), GRAMMAR_PARAM)
        case _:
            return _from_list(grammar.value)


def _from_list(chosen: GrammarList) -> str:
    """`max_tokens` is left out: it ends the output as `max_output_tokens` does."""
    _check_lark("\n".join(each.lark_grammar or "" for each in chosen.grammars))
    made = _to_json(chosen.model_dump(exclude_none=True, exclude={"max_tokens"}))
    for position, each in enumerate(chosen.grammars):
        if each.json_schema is not None:
            param = f"{GRAMMAR_PARAM}.grammars[{position}].json_schema"
            _from_schema(_text_of(each.json_schema, param), param)
    _check_size(made, GRAMMAR_PARAM)
    return made


def _check_lark(text: str) -> None:
    if len(text) > MAX_GRAMMAR:
        reason = f"it is too big: more than {MAX_GRAMMAR} characters of Lark"
        raise refusal(reason, GRAMMAR_PARAM)
    if _RULE_TEMPERATURE.search(text):
        raise refusal("the temperature of a rule is not supported", GRAMMAR_PARAM)


@lru_cache(maxsize=_MAX_CACHED)
def _from_schema(schema: str, param: str) -> str:
    """The order of keys is kept: it is the order in which properties are written."""
    # It brings transformers along: seconds, for a server that may never see a schema.
    from outlines.types import JsonSchema

    _check_size(schema, param)
    try:
        described = JsonSchema(schema)
    except SchemaError as error:
        raise refusal(f"{error.message} at {error.json_path}", param) from None
    except RecursionError:
        raise refusal("it is nested too deeply", param) from None
    _check_keywords(orjson.loads(schema), param)
    grammar: str = llguidance.LLMatcher.grammar_from_json_schema(described.schema)
    return grammar


def _check_size(text: str, param: str) -> None:
    if len(text) > MAX_SCHEMA_BYTES:
        raise refusal(f"it is too big: more than {MAX_SCHEMA_BYTES} bytes", param)
    if text.count('"pattern') > MAX_PATTERNS:
        raise refusal(f"it has more than {MAX_PATTERNS} patterns", param)


def _check_keywords(schema: Any, param: str) -> None:
    for name, value in _keywords(schema):
        if isinstance(value, dict) and name == "properties" and len(value) > MAX_PROPERTIES:
            raise refusal(f"an object has more than {MAX_PROPERTIES} properties", param)
        is_number = isinstance(value, int | float)
        if is_number and name in _MINIMUMS and value > MAX_MINIMUM:
            raise refusal(f"{name} is more than {MAX_MINIMUM}", param)


def _keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    """Keywords and their values, wherever they stand in a schema, but not in its data."""
    left = [schema]
    while left:
        each = left.pop()
        if isinstance(each, list):
            left.extend(each)
        elif isinstance(each, dict):
            for name, value in each.items():
                yield name, value
                if name not in _DATA_KEYWORDS:
                    left.append(value)


def _parsed(text: str) -> dict[str, Any]:
    try:
        schema = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise refusal(f"it is not valid JSON: {error}", GRAMMAR_PARAM) from None
    if not isinstance(schema, dict):
        raise refusal("it is not a JSON object", GRAMMAR_PARAM)
    return schema


def _text_of(schema: dict[str, Any], param: str) -> str:
    try:
        return _to_json(schema)
    except orjson.JSONEncodeError:
        raise refusal("it is nested too deeply", param) from None


def _to_json(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode()


def refusal(reason: str, param: str) -> InvalidRequestError:
    """A 400 for a grammar or schema that stands at `param`."""
    kind = "grammar" if param.startswith(GRAMMAR_PARAM) else "schema"
    code = "invalid_grammar" if kind == "grammar" else "invalid_json_schema"
    return InvalidRequestError(f"Invalid {kind} for {param}: {reason}", param=param, code=code)
