"""Validation of finished outputs against the constraints of their request."""

from functools import lru_cache
from typing import Any

import orjson

from models.errors import AppError
from models.grammars.arguments import arguments_schema
from models.grammars.isolation.pool import Task, TooExpensiveError, shared_pool
from models.grammars.json_schema.nodes import DATA
from models.grammars.json_schema.references import find
from models.grammars.validators import Language, UnknownValidityError, find_fault
from models.schemas.request.formats import JsonObjectFormat, JsonSchemaFormat
from models.schemas.request.grammars import (
    JsonSchemaGrammar,
    LarkGrammar,
    RegexGrammar,
)
from models.schemas.request.parameters import GenerationParameters
from models.schemas.tools.custom import GrammarInput, TextInput
from models.tools.choice import call_rule
from models.tools.model_function import ModelFunction

Constraint = tuple[Language, str]
"""Language of a constraint and its source."""

MAX_PARTS = 10_000
"""Maximum number of parts of a schema that is validated in this process."""
_DEFINITIONS = frozenset({"$defs", "definitions"})


def text_constraint(parameters: GenerationParameters) -> Constraint | None:
    """Return the constraint on a response's messages; None if there is none to validate.

    A stop string may end a text before the constraint is satisfied.
    """
    return None if parameters.stop else requested_constraint(parameters)


def requested_constraint(parameters: GenerationParameters) -> Constraint | None:
    """Return the constraint that a request names; None for lists, which have no validator."""
    match parameters.grammar:
        case RegexGrammar(value=value):
            return "regex", value
        case LarkGrammar(value=value):
            return "lark", value
        case JsonSchemaGrammar(value=value):
            return "json_schema", value if isinstance(value, str) else _to_json(value)
        case None:
            pass
        case _:
            return None
    match parameters.text.format if parameters.text else None:
        case JsonSchemaFormat(schema_=schema):
            return "json_schema", _to_json(schema)
        case JsonObjectFormat():
            return "json_schema", '{"type":"object"}'
        case _:
            return None


def call_constraints(parameters: GenerationParameters) -> dict[str, Constraint]:
    """Return the constraint on the arguments or input of each function that may be called."""
    found = ((tool.name, _call_constraint(tool)) for tool in call_rule(parameters).tools)
    return {name: constraint for name, constraint in found if constraint is not None}


def _call_constraint(tool: ModelFunction) -> Constraint | None:
    match tool.input_format:
        case GrammarInput(syntax=syntax, definition=definition):
            return syntax, definition
        case TextInput():
            return None
        case None:
            return "json_schema", _to_json(arguments_schema(tool))


def find_output_fault(constraint: Constraint, text: str) -> str:
    """Return why a finished text does not satisfy a constraint; an empty string if it does.

    Raises `UnknownValidityError` if it cannot be validated, or not within bounds.
    """
    language, source = constraint
    if language == "regex" or (language == "json_schema" and not _may_explode(source)):
        return find_fault(language, source, text)
    request = {"language": language, "source": source, "text": text}
    try:
        answer = shared_pool().run(Task(name="validate", grammar=_to_json(request)))
    except (TooExpensiveError, AppError) as error:
        raise UnknownValidityError(f"the validator {error}") from None
    if answer["is_unknown"]:
        raise UnknownValidityError(answer["message"])
    return str(answer["message"])


@lru_cache(maxsize=64)
def _may_explode(schema: str) -> bool:
    """Return True if the parts of a schema may apply to one value without end, or very often."""
    root = orjson.loads(schema)
    return _count_parts(root, root, ()) > MAX_PARTS


def _count_parts(node: Any, root: Any, references: tuple[str, ...]) -> int:
    """Return the number of parts of a schema, those it refers to included, or more than the most.

    A reference counts as often as it occurs; one to a part that it is in counts as too many.
    """
    count, pending = 1, list(node) if isinstance(node, list) else []
    if isinstance(node, dict):
        pending = [value for name, value in node.items() if name not in DATA | _DEFINITIONS]
        reference = node.get("$ref")
        if isinstance(reference, str):
            found = find(reference, root)
            if found is None or reference in references:
                return MAX_PARTS + 1
            count += _count_parts(found, root, (*references, reference))
    for inner in pending:
        if count > MAX_PARTS:
            break
        if isinstance(inner, dict | list):
            count += _count_parts(inner, root, references)
    return count


def _to_json(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode()
