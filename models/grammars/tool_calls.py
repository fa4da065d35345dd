"""Grammars of outputs that may or must contain tool calls, in the call format of the weights.

They include the delimiters of the format, so that the output can always be parsed. Text before a
call is free; from the opener on, only the given names and arguments are allowed.
"""

from dataclasses import replace
from typing import Any

import orjson

from models.chat.prompt import ChatEncoder
from models.grammars.arguments import arguments_schema
from models.grammars.compile import grammar_of
from models.grammars.json_schema.prepare import prepare_schema
from models.profile.call_format import GENERIC, CallFormat
from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.tools import FunctionTool
from models.tools.choice import SEARCH_FUNCTION, CallRule, call_rule, format_of

MAX_REPEATED = 128
"""Calls per output if the request sets no limit: some models repeat calls without end."""

_BODY = "body"

_ANYTHING = r"/(.|\n)*/"
_LLAMA_CALL = r'/[ \n\t]*\{[ \n\t]*"name"(.|\n)*/'


def calls_grammar(parameters: GenerationParameters, encoder: ChatEncoder, *, turn: int = 0) -> str:
    """Return the grammar of a request with tools; calls are forced in the first turn only."""
    rule, profile = call_rule(parameters), encoder.profile
    call_format = format_of(parameters, profile)
    limits = [limit for limit in (rule.max_calls, profile.max_calls) if limit is not None]
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
    """Return the grammar of a turn that is a web search, or, if given, what `body` allows."""
    rule = CallRule(tools=(SEARCH_FUNCTION,), is_forced=body is None, max_calls=1)
    return tool_grammar(rule, GENERIC, body=body)


def tool_grammar(
    rule: CallRule,
    call_format: CallFormat,
    *,
    opener_id: int | None = None,
    body: str | None = None,
) -> str:
    """Return an llguidance grammar for calls by `rule`, and for text if calls are not forced.

    `body` is the grammar that text must follow; `opener_id` is the token that calls begin with, if
    it is a special token.
    """
    lines = [_calls(rule, call_format, opener_id), *_call_rules(rule.tools, call_format)]
    grammars: list[dict[str, Any]] = [
        {"name": f"arguments_{number}", "json_schema": prepare_schema(arguments_schema(tool))}
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


def _calls(rule: CallRule, form: CallFormat, opener_id: int | None) -> str:
    more = min(rule.max_calls or MAX_REPEATED, MAX_REPEATED) - 1
    opener = f"<[{opener_id}]>" if opener_id is not None else _literal(form.opener)
    one = f"call {_literal(form.closer)}"
    again = f"({_literal(form.separator)} {one}){{0,{more}}}" if more else ""
    after = f"after: {_literal(form.after_opener)} {one} {again} {_literal(form.end)}"
    return f"calls: {opener} after\n{after}"


def _free(form: CallFormat, opener_id: int | None) -> tuple[str, list[str]]:
    """Return the rules of free text, optionally followed by calls; no call begins inside it."""
    if opener_id is not None:
        # Text never contains a special token.
        return "plain calls?", [f"plain: {_ANYTHING}"]
    if not form.opener:
        return "plain | calls", [f"PLAIN: {_ANYTHING} & ~{_LLAMA_CALL}", "plain: PLAIN"]
    escaped = "".join(f"\\{char}" if char in "[]/" else char for char in form.opener)
    return "plain | said_first after", [
        rf"PLAIN: {_ANYTHING} & ~/(.|\n)*{escaped}(.|\n)*/",
        "plain: PLAIN",
        f"said_first[suffix={_literal(form.opener)}]: {_ANYTHING}",
    ]


def _call_rules(tools: tuple[FunctionTool, ...], form: CallFormat) -> list[str]:
    lines = ["call: " + " | ".join(f"call_{number}" for number in range(len(tools)))]
    for number, tool in enumerate(tools):
        head = _literal(f'{{"name": "{tool.name}", "{form.key}": ')
        lines.append(f'call_{number}: {head} @arguments_{number} "}}"')
    return lines


def _literal(text: str) -> str:
    """Return a text as a Lark string literal; nothing for an empty text."""
    return orjson.dumps(text).decode() if text else ""
