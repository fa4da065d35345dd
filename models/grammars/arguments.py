"""Schemas of functions' arguments, as they are enforced.

The parameters of a strict function are enforced as they are. Of others, what cannot be enforced is
left out, and what is left out is logged.
"""

import logging
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson

from models.errors import InvalidRequestError
from models.grammars.compile import schema_grammar
from models.grammars.isolation.pool import Task, TooExpensiveError, shared_pool
from models.grammars.json_schema.lenient import drop_unenforceable
from models.tools.model_function import ModelFunction

logger = logging.getLogger(__name__)

_ANY_OBJECT: dict[str, Any] = {"type": "object"}
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}
_MAX_LOGGED = 20


def arguments_schema(tool: ModelFunction) -> dict[str, Any]:
    """Return the JSON schema that the arguments of a function satisfy."""
    schema = dict(tool.parameters or _NO_PARAMETERS)
    schema.setdefault("type", "object")
    if tool.strict:
        return schema
    enforced: dict[str, Any] = orjson.loads(_enforceable(orjson.dumps(schema)))
    return enforced


@lru_cache(maxsize=256)
def _enforceable(text: bytes) -> bytes:
    """Return the part of a schema that can be enforced."""
    for schema, dropped in _candidates(orjson.loads(text)):
        if _is_enforceable(schema):
            if dropped:
                logger.warning(
                    "schema of a function is not enforced whole",
                    extra={"dropped": dropped[:_MAX_LOGGED]},
                )
            return orjson.dumps(schema)
    raise AssertionError("any object can be enforced")


def _candidates(schema: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Yield schemas that ask for ever less, with the paths of what each leaves out."""
    if schema["type"] == "object":
        yield schema, []
        schema, dropped = drop_unenforceable(schema)
        yield schema, dropped
        properties = schema.get("properties")
        if isinstance(properties, dict):
            faulty = [name for name, value in properties.items() if not _holds(value, schema)]
            free = dict.fromkeys(faulty, True)
            dropped = [*dropped, *(f"$.properties.{name}" for name in faulty)]
            yield {**schema, "properties": {**properties, **free}}, dropped
    yield _ANY_OBJECT, ["$"]


def _holds(value: Any, root: dict[str, Any]) -> bool:
    """Return True if a property by itself can be enforced."""
    schema: dict[str, Any] = {name: root[name] for name in ("$defs", "definitions") if name in root}
    return _is_enforceable({**schema, "type": "object", "properties": {"a": value}})


def _is_enforceable(schema: dict[str, Any]) -> bool:
    try:
        grammar = schema_grammar(schema, param="tools")
        return not shared_pool().run(Task(name="warnings", grammar=grammar))
    except (InvalidRequestError, TooExpensiveError):
        return False
