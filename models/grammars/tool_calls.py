"""Grammars of outputs that may or must contain tool calls, in the call format of the weights.

They include the delimiters of the format, so that the output can always be parsed. Text before a
call is free; from the opener on, only the given names and arguments are allowed.

The call of a custom tool is its name in a JSON object and, on the lines after that, its input. No
delimiter follows an input that has a grammar, since any text may be a part of it: the input ends
with the output, so that the call is the last.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from models.chat.prompt import ChatEncoder
from models.grammars.arguments import arguments_schema
from models.grammars.compile import grammar_of, input_grammar
from models.grammars.json_schema.prepare import prepare_schema
from models.profile.call_format import GENERIC, CallFormat
from models.schemas.request.parameters import GenerationParameters
from models.schemas.tools.custom import GrammarInput, TextInput
from models.tools.choice import SEARCH_FUNCTION, CallRule, call_rule, format_of
from models.tools.custom import CLOSER, custom_head
from models.tools.model_function import ModelFunction

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
    functions = [tool for tool in rule.tools if tool.input_format is None]
    customs = [tool for tool in rule.tools if tool.input_format is not None]
    lines = [
        _calls(rule, call_format, opener_id, has_functions=bool(functions)),
        *_call_rules(functions, call_format),
        *_input_rules(customs),
    ]
    grammars: list[dict[str, Any]] = [
        {"name": f"arguments_{number}", "json_schema": prepare_schema(arguments_schema(tool))}
        for number, tool in enumerate(functions)
    ]
    grammars += _input_grammars(customs)
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


def _calls(rule: CallRule, form: CallFormat, opener_id: int | None, *, has_functions: bool) -> str:
    more = min(rule.max_calls or MAX_REPEATED, MAX_REPEATED) - 1
    opener = f"<[{opener_id}]>" if opener_id is not None else _literal(form.opener)
    one, separator = f"call {_literal(form.closer)}", _literal(form.separator)
    again = f"({separator} {one}){{0,{more}}}" if more else ""
    listed = [f"{one} {again} {_literal(form.end)}"] if has_functions else []
    if any(tool.input_format is not None for tool in rule.tools):
        before = f"({one} {separator}){{0,{more}}}" if has_functions and more else ""
        listed.append(f"{before} custom")
    after = f"after: {_literal(form.after_opener)} ({' | '.join(listed)})"
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


def _call_rules(functions: Sequence[ModelFunction], form: CallFormat) -> list[str]:
    if not functions:
        return []
    lines = ["call: " + " | ".join(f"call_{number}" for number in range(len(functions)))]
    for number, tool in enumerate(functions):
        head = _literal(f'{{"name": "{tool.name}", "{form.key}": ')
        lines.append(f'call_{number}: {head} @arguments_{number} "}}"')
    return lines


def _input_rules(customs: Sequence[ModelFunction]) -> list[str]:
    """Return the rules of the calls of custom tools."""
    if not customs:
        return []
    lines = ["custom: " + " | ".join(f"custom_{number}" for number in range(len(customs)))]
    for number, tool in enumerate(customs):
        source = "any_input" if isinstance(tool.input_format, TextInput) else f"@input_{number}"
        lines.append(f"custom_{number}: {_literal(custom_head(tool.name))} {source}")
    if any(isinstance(tool.input_format, TextInput) for tool in customs):
        pattern = CLOSER.replace("\n", r"\n").replace("/", r"\/")
        lines += [
            "any_input: INPUT | closed_input",
            rf"INPUT: {_ANYTHING} & ~/(.|\n)*{pattern}(.|\n)*/",
            f"closed_input[suffix={_literal(CLOSER)}]: {_ANYTHING}",
        ]
    return lines


def _input_grammars(customs: Sequence[ModelFunction]) -> list[dict[str, Any]]:
    """Return the grammars of custom tools' inputs, named as `_input_rules` refers to them."""
    grammars = []
    for number, tool in enumerate(customs):
        if isinstance(tool.input_format, GrammarInput):
            first, *others = orjson.loads(input_grammar(tool.input_format))["grammars"]
            grammars += [{**first, "name": f"input_{number}"}, *others]
    return grammars


def _literal(text: str) -> str:
    """Return a text as a Lark string literal; nothing for an empty text."""
    return orjson.dumps(text).decode() if text else ""
