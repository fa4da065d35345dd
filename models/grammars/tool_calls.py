"""The grammar of an output that may or must be calls, in the format of the weights.

It contains the format's own wrapper, so that what was generated under it can always be read. What
the model says before a call is free; from the opener on, names and arguments are what was given.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import llguidance
import orjson

from models.chat.prompt import ChatEncoder
from models.errors import InvalidRequestError
from models.grammars.compile import grammar_of, schema_grammar
from models.profile.call_format import GENERIC, CallFormat
from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.tools import FunctionTool
from models.tools.choice import SEARCH_FUNCTION, CallRule, call_rule, format_of

MAX_REPEATED = 128
"""Calls of one output where the request sets no limit: some models never stop by themselves."""

# Small models would write spaces for ever where a grammar lets them.
_LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_ANY_OBJECT: dict[str, Any] = {"type": "object"}
_BODY = "body"

_ANYTHING = r"/(.|\n)*/"
_LLAMA_CALL = r'/[ \n\t]*\{[ \n\t]*"name"(.|\n)*/'


def calls_grammar(parameters: GenerationParameters, encoder: ChatEncoder, *, turn: int = 0) -> str:
    """The grammar of a request that may call functions; after a search none has to come."""
    rule, profile = call_rule(parameters), encoder.profile
    call_format = format_of(parameters, profile)
    limits = [each for each in (rule.max_calls, profile.max_calls) if each is not None]
    return tool_grammar(
        replace(
            rule,
            is_forced=rule.is_forced and turn == 0,
            max_calls=min(limits, default=None),
        ),
        call_format,
        opener_id=encoder.special_id(call_format.opener),
        body=grammar_of(parameters),
    )


def search_grammar(body: str | None) -> str:
    """The grammar of a turn that is a search, or what `body` allows, should it allow anything."""
    rule = CallRule(tools=(SEARCH_FUNCTION,), is_forced=body is None, max_calls=1)
    return tool_grammar(rule, GENERIC, body=body)


def tool_grammar(
    rule: CallRule,
    call_format: CallFormat,
    *,
    opener_id: int | None = None,
    body: str | None = None,
) -> str:
    """An llguidance grammar for calls by `rule`, and for text where it forces none.

    `body` is the grammar that text must follow; `opener_id` is the token that calls begin with, if
    it is a special one.
    """
    lines = [_calls(rule, call_format, opener_id), *_each_call(rule.tools, call_format)]
    grammars: list[dict[str, Any]] = [
        {"name": f"arguments_{number}", "json_schema": arguments_schema(tool)}
        for number, tool in enumerate(rule.tools)
    ]
    if rule.is_forced:
        start = "calls"
    elif body is not None:
        first, *others = orjson.loads(body)["grammars"]
        name = first.get("name") or _BODY
        start = f"calls | @{name}"
        grammars += [{**first, "name": name}, *others]
    else:
        start, free = _free(call_format, opener_id)
        lines += free
    lark = "\n".join([f"start: {start}", *lines])
    return orjson.dumps({"grammars": [{"lark_grammar": lark}, *grammars]}).decode()


def arguments_schema(tool: FunctionTool) -> dict[str, Any]:
    """The schema that arguments are held to.

    Where the function is not `strict`, one that cannot be enforced gives way to any object.
    """
    schema = dict(tool.parameters or _ANY_OBJECT)
    schema.setdefault("type", "object")
    if schema.get("properties") is not None:
        schema.setdefault("additionalProperties", False)
    if not tool.strict and not _is_enforceable(orjson.dumps(schema).decode()):
        schema = dict(_ANY_OBJECT)
    return {**schema, "x-guidance": _LAYOUT}


def _calls(rule: CallRule, form: CallFormat, opener_id: int | None) -> str:
    more = min(rule.max_calls or MAX_REPEATED, MAX_REPEATED) - 1
    opener = f"<[{opener_id}]>" if opener_id is not None else _literal(form.opener)
    one = f"call {_literal(form.closer)}"
    again = f"({_literal(form.separator)} {one}){{0,{more}}}" if more else ""
    after = f"after: {_literal(form.after_opener)} {one} {again} {_literal(form.end)}"
    return f"calls: {opener} after\n{after}"


def _free(form: CallFormat, opener_id: int | None) -> tuple[str, list[str]]:
    """Text with or without a call at its end; no call begins within it."""
    if opener_id is not None:
        # No text holds a special token.
        return "plain calls?", [f"plain: {_ANYTHING}"]
    if not form.opener:
        return "plain | calls", [f"PLAIN: {_ANYTHING} & ~{_LLAMA_CALL}", "plain: PLAIN"]
    escaped = "".join(f"\\{char}" if char in "[]/" else char for char in form.opener)
    return "plain | said_first after", [
        rf"PLAIN: {_ANYTHING} & ~/(.|\n)*{escaped}(.|\n)*/",
        "plain: PLAIN",
        f"said_first[suffix={_literal(form.opener)}]: {_ANYTHING}",
    ]


def _each_call(tools: tuple[FunctionTool, ...], form: CallFormat) -> list[str]:
    lines = ["call: " + " | ".join(f"call_{number}" for number in range(len(tools)))]
    for number, tool in enumerate(tools):
        head = _literal(f'{{"name": "{tool.name}", "{form.key}": ')
        lines.append(f'call_{number}: {head} @arguments_{number} "}}"')
    return lines


def _literal(text: str) -> str:
    """A text in Lark; nothing at all for an empty one."""
    return orjson.dumps(text).decode() if text else ""


@lru_cache(maxsize=256)
def _is_enforceable(schema: str) -> bool:
    parsed = orjson.loads(schema)
    if parsed["type"] != "object":
        return False
    try:
        grammar = schema_grammar(parsed, param="tools")
    except InvalidRequestError:
        return False
    is_error, messages = llguidance.LLMatcher.validate_grammar_with_warnings(grammar, None)
    return not is_error and not messages
