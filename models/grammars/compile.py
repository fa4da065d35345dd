"""Conversion of `text.format` or `grammar` to the llguidance grammar that constrains the output.

outlines' types validate schemas. They are rewritten (`models/grammars/json_schema/`) to what
llguidance, which compiles the grammar, enforces exactly; it rejects what it cannot enforce.
`models/grammars/validate.py` checks that the result can be followed.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import llguidance
import orjson
from jsonschema.exceptions import SchemaError

from models.errors import InvalidRequestError
from models.grammars.json_schema.errors import UnenforceableError
from models.grammars.json_schema.intersections import check_intersections
from models.grammars.json_schema.patterns import without_patterns
from models.grammars.json_schema.prepare import prepare_schema
from models.grammars.lark import LarkError, prepare_lark
from models.grammars.repetitions import TooManyRepetitionsError, check_repetitions
from models.metrics.recorder import RECORDER
from models.metrics.table import GRAMMAR_REJECTS
from models.schemas.request.formats import JsonObjectFormat, JsonSchemaFormat
from models.schemas.request.grammars import (
    GRAMMAR_PARAM,
    Grammar,
    GrammarList,
    JsonSchemaGrammar,
    LarkGrammar,
    RegexGrammar,
)
from models.schemas.request.parameters import GenerationParameters
from models.schemas.strict import MAX_GRAMMAR
from models.schemas.tools.custom import GrammarInput

MAX_SCHEMA_BYTES = 256 * 1024
MAX_PATTERNS = 1000
MAX_PROPERTIES = 2000
"""Maximum number of properties of one object: the time to compile them grows quadratically."""
MAX_MINIMUM = 1 << 20
"""Maximum of `minItems`, `minLength` and `minProperties`: no output is longer than that."""

INPUT_PARAM = "format.definition"
"""End of the path of a custom tool's grammar."""

_MAX_CACHED = 64
_MINIMUMS = ("minItems", "minLength", "minProperties")
_DATA_KEYWORDS = ("const", "default", "enum", "examples")


def grammar_of(
    parameters: GenerationParameters, *, param: str = "text.format.schema"
) -> str | None:
    """Return the llguidance grammar that the output must follow; None for free text.

    Raises `InvalidRequestError` that names `param` for an invalid schema.
    """
    if parameters.grammar is not None:
        return _from_grammar(parameters.grammar)
    match parameters.text.format if parameters.text else None:
        case JsonSchemaFormat(schema_=schema):
            return _from_schema(_schema_text(schema, param), param)
        case JsonObjectFormat():
            return _from_schema('{"type":"object"}', param)
        case _:
            return None


def schema_grammar(schema: dict[str, Any], *, param: str) -> str:
    """Return the llguidance grammar of a JSON schema's instances.

    Raises `InvalidRequestError` that names `param` for an invalid schema.
    """
    return _from_schema(_schema_text(schema, param), param)


def input_grammar(chosen: GrammarInput, *, param: str = GRAMMAR_PARAM) -> str:
    """Return the llguidance grammar of a custom tool's input.

    Raises `InvalidRequestError` that names `param`.
    """
    if chosen.syntax == "regex":
        return _from_regex(chosen.definition, param)
    return _from_lark(chosen.definition, param)


def _from_regex(pattern: str, param: str) -> str:
    _check_repetitions(pattern, param)
    compiled: str = llguidance.LLMatcher.grammar_from_regex(pattern)
    return compiled


def _from_lark(text: str, param: str) -> str:
    # llguidance would take bare Lark that begins with a brace for JSON.
    return _to_json({"grammars": [{"lark_grammar": _lark(text, param)}]})


def _from_grammar(grammar: Grammar) -> str:
    match grammar:
        case RegexGrammar():
            return _from_regex(grammar.value, GRAMMAR_PARAM)
        case LarkGrammar():
            return _from_lark(grammar.value, GRAMMAR_PARAM)
        case JsonSchemaGrammar(value=value):
            schema = _parse(value) if isinstance(value, str) else value
            return _from_schema(_schema_text(schema, GRAMMAR_PARAM), GRAMMAR_PARAM)
        case _:
            return _from_list(grammar.value)


def _from_list(chosen: GrammarList) -> str:
    """Return a list of grammars as JSON; `max_tokens` is left out: it limits the whole output."""
    listed = chosen.model_dump(exclude_none=True, exclude={"max_tokens"})
    if sum(len(grammar.lark_grammar or "") for grammar in chosen.grammars) > MAX_GRAMMAR:
        reason = f"it is too big: more than {MAX_GRAMMAR} characters of Lark"
        raise refusal(reason, GRAMMAR_PARAM)
    _check_size(_schema_text(listed, GRAMMAR_PARAM), GRAMMAR_PARAM)
    for position, grammar in enumerate(listed["grammars"]):
        if "lark_grammar" in grammar:
            grammar["lark_grammar"] = _lark(grammar["lark_grammar"], GRAMMAR_PARAM)
        if "json_schema" in grammar:
            param = f"{GRAMMAR_PARAM}.grammars[{position}].json_schema"
            grammar["json_schema"] = _prepared(grammar["json_schema"], param)
    return _to_json(listed)


def _lark(text: str, param: str) -> str:
    try:
        return prepare_lark(text, lambda schema: _prepared(schema, param))
    except (LarkError, TooManyRepetitionsError) as error:
        raise refusal(str(error), param) from None


def _prepared(schema: dict[str, Any], param: str) -> dict[str, Any]:
    compiled = orjson.loads(_from_schema(_schema_text(schema, param), param))
    prepared: dict[str, Any] = compiled["grammars"][0]["json_schema"]
    return prepared


@lru_cache(maxsize=_MAX_CACHED)
def _from_schema(schema: str, param: str) -> str:
    """Compile a JSON schema; the order of its keys is that in which properties are generated."""
    # Imports transformers, which takes seconds: a server may never receive a schema.
    from outlines.types import JsonSchema

    _check_size(schema, param)
    loaded = orjson.loads(schema)
    try:
        # Patterns are judged by what enforces them, not by Python's `re`.
        JsonSchema(_to_json(without_patterns(loaded)))
        _check_keywords(loaded, param)
        check_intersections(loaded)
        prepared = prepare_schema(loaded)
    except SchemaError as error:
        raise refusal(f"{error.message} at {error.json_path}", param) from None
    except UnenforceableError as error:
        raise refusal(str(error), param) from None
    except RecursionError:
        raise refusal("it is nested too deeply", param) from None
    return _to_json({"grammars": [{"json_schema": prepared}]})


def _check_size(text: str, param: str) -> None:
    if len(text) > MAX_SCHEMA_BYTES:
        raise refusal(f"it is too big: more than {MAX_SCHEMA_BYTES} bytes", param)
    if text.count('"pattern') > MAX_PATTERNS:
        raise refusal(f"it has more than {MAX_PATTERNS} patterns", param)


def _check_keywords(schema: Any, param: str) -> None:
    for name, value in _keywords(schema):
        if isinstance(value, dict) and name == "properties" and len(value) > MAX_PROPERTIES:
            raise refusal(f"an object has more than {MAX_PROPERTIES} properties", param)
        if name == "pattern" and isinstance(value, str):
            _check_repetitions(value, param)
        if name == "patternProperties" and isinstance(value, dict):
            _check_repetitions("|".join(value), param)
        is_number = isinstance(value, int | float)
        if is_number and name in _MINIMUMS and value > MAX_MINIMUM:
            raise refusal(f"{name} is more than {MAX_MINIMUM}", param)


def _check_repetitions(pattern: str, param: str) -> None:
    try:
        check_repetitions(pattern)
    except TooManyRepetitionsError as error:
        raise refusal(str(error), param) from None


def _keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield all keywords of a schema and their values, at any depth, but not from its data."""
    pending = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            for name, value in node.items():
                yield name, value
                if name not in _DATA_KEYWORDS:
                    pending.append(value)


def _parse(text: str) -> dict[str, Any]:
    try:
        schema = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise refusal(f"it is not valid JSON: {error}", GRAMMAR_PARAM) from None
    if not isinstance(schema, dict):
        raise refusal("it is not a JSON object", GRAMMAR_PARAM)
    return schema


def _schema_text(schema: dict[str, Any], param: str) -> str:
    try:
        return _to_json(schema)
    except orjson.JSONEncodeError as error:
        is_number = "Integer" in str(error)
        reason = "it has an integer beyond 64 bits" if is_number else "it is nested too deeply"
        raise refusal(reason, param) from None


def _to_json(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode()


def refusal(reason: str, param: str, *, is_expensive: bool = False) -> InvalidRequestError:
    """Return the error (HTTP 400) for the grammar or schema in the field `param`, and count it."""
    RECORDER.count(GRAMMAR_REJECTS, "too_expensive" if is_expensive else "unusable")
    kind = "grammar" if param.startswith(GRAMMAR_PARAM) or param.endswith(INPUT_PARAM) else "schema"
    code = "invalid_grammar" if kind == "grammar" else "invalid_json_schema"
    return InvalidRequestError(f"Invalid {kind} for {param}: {reason}", param=param, code=code)
