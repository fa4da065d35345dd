"""Grammars with calls of the search in them: one that must come, or may come before the answer."""

import json
from typing import Any

import orjson

from models.web_search import CALL_CLOSER, CALL_OPENER, MAX_QUERY, NAME

_CALL = "search_call"
_ANSWER = "answer_or_call"
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {"query": {"type": "string", "minLength": 1, "maxLength": MAX_QUERY}},
    "required": ["query"],
    "additionalProperties": False,
}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"const": NAME}, "arguments": ARGUMENTS},
    "required": ["name", "arguments"],
    "additionalProperties": False,
}


def search_alone() -> str:
    """The grammar of a turn that has to be a search."""
    return _to_json([_start(""), _call()])


def search_or(grammar: str) -> str:
    """The grammar of a turn that is a search, or what `grammar` allows."""
    first, *others = orjson.loads(grammar)["grammars"]
    name = first.get("name") or _ANSWER
    return _to_json([_start(f" | @{name}"), _call(), {**first, "name": name}, *others])


def _start(otherwise: str) -> dict[str, Any]:
    opener, closer = json.dumps(f"{CALL_OPENER}\n"), json.dumps(f"\n{CALL_CLOSER}")
    return {"lark_grammar": f"start: {opener} @{_CALL} {closer}{otherwise}"}


def _call() -> dict[str, Any]:
    return {"name": _CALL, "json_schema": _SCHEMA}


def _to_json(grammars: list[dict[str, Any]]) -> str:
    return orjson.dumps({"grammars": grammars}).decode()
