"""Grammars of outputs that may or must contain tool calls, in the call format of the weights.

They include the delimiters of the format, so that the output can always be parsed. Text before a
call is free; from the opener on, only the given names and arguments are allowed.

The call of a custom tool is its name in a JSON object and, on the lines after that, its input. No
delimiter follows an input that has a grammar, since any text may be a part of it: the input ends
with the output, so that the call is the last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import orjson

from models.chat.prompt import ChatEncoder
from models.grammars.after_reasoning import HARMONY_TEXT, harmony_lines
from models.grammars.arguments import arguments_schema
from models.grammars.calls.argument_rules import ArgumentRules, argument_rules
from models.grammars.compile import grammar_of, input_grammar
from models.grammars.literals import ANYTHING, Literals, escape
from models.profile.formats.call_format import NUMBER, CallFormat
from models.profile.formats.named_json.harmony import HARMONY
from models.profile.formats.table import GENERIC
from models.schemas.request.parameters import GenerationParameters
from models.schemas.tools.custom import GrammarInput, TextInput
from models.tools.choice import SEARCH_FUNCTION, CallRule, call_rule, format_of
from models.tools.custom import CLOSER, custom_head
from models.tools.model_function import ModelFunction

MAX_REPEATED = 128
"""Calls per output if the request sets no limit: some models repeat calls without end."""

_BODY = "body"

_NO_IDS: Mapping[str, int] = MappingProxyType({})


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
        special_ids=encoder.special_ids,
        body=grammar_of(parameters),
    )


def search_grammar(body: str | None, special_ids: Mapping[str, int] = _NO_IDS) -> str:
    """Return the grammar of a turn that is a web search, or, if given, what `body` allows."""
    rule = CallRule(tools=(SEARCH_FUNCTION,), is_forced=body is None, max_calls=1)
    return tool_grammar(rule, GENERIC, special_ids=special_ids, body=body)


def tool_grammar(
    rule: CallRule,
    call_format: CallFormat,
    *,
    special_ids: Mapping[str, int] = _NO_IDS,
    body: str | None = None,
) -> str:
    """Return an llguidance grammar for calls by `rule`, and for text if calls are not forced.

    `body` is the grammar that text must follow; `special_ids` are those of the special tokens.
    """
    functions = [tool for tool in rule.tools if tool.input_format is None]
    customs = [tool for tool in rule.tools if tool.input_format is not None]
    literals = Literals(special_ids, call_format.text, HARMONY_TEXT, CLOSER)
    arguments = [
        argument_rules(arguments_schema(tool), call_format.arguments, literals, f"arguments_{n}")
        for n, tool in enumerate(functions)
    ]
    lines = [
        *_call_rules(functions, arguments, call_format, literals),
        *(line for rules in arguments for line in rules.lines),
        *_input_rules(customs, literals),
    ]
    grammars = [grammar for rules in arguments for grammar in rules.grammars]
    grammars += _input_grammars(customs)
    name = ""
    if body is not None and not rule.is_forced:
        first, *others = orjson.loads(body)["grammars"]
        name = first.get("name") or _BODY
        grammars += [{**first, "name": name}, *others]
    if call_format == HARMONY:
        lines = _harmony(rule, name, special_ids) + lines
    else:
        lines = _outputs(rule, call_format, literals, name) + lines
    return orjson.dumps({"grammars": [{"lark_grammar": "\n".join(lines)}, *grammars]}).decode()


def _harmony(rule: CallRule, body: str, special_ids: Mapping[str, int]) -> list[str]:
    """Return the rules of a turn of gpt-oss, which ends with an answer or a call."""
    if rule.is_forced:
        return harmony_lines("call", special_ids)
    answer = f"final @{body}" if body else f"final {ANYTHING}"
    return harmony_lines(f"call | {answer}", special_ids)


def _outputs(rule: CallRule, form: CallFormat, literals: Literals, body: str) -> list[str]:
    """Return the rules of calls and, if they are not forced, of text; `body` is its grammar."""
    calls = _calls(rule, form, literals)
    if rule.is_forced:
        return ["start: calls", *calls]
    if body:
        return [f"start: calls | @{body}", *calls]
    start, free = _free(form, literals)
    return [f"start: {start}", *calls, *free]


def _calls(rule: CallRule, form: CallFormat, literals: Literals) -> list[str]:
    has_functions = any(tool.input_format is None for tool in rule.tools)
    more = min(rule.max_calls or MAX_REPEATED, MAX_REPEATED) - 1
    write = literals.write
    one, separator = f"call {write(form.closer)}", write(form.separator)
    again = f"({separator} {one}){{0,{more}}}" if more else ""
    listed = [f"{one} {again} {write(form.end)}"] if has_functions else []
    if any(tool.input_format is not None for tool in rule.tools):
        before = f"({one} {separator}){{0,{more}}}" if has_functions and more else ""
        listed.append(f"{before} custom")
    if not form.opener:
        return [f"calls: {listed[0].replace('call', 'first', 1)}"]
    after = f"after: {write(form.after_opener)} ({' | '.join(listed)})"
    return [f"calls: {write(form.opener)} after", after]


def _free(form: CallFormat, literals: Literals) -> tuple[str, list[str]]:
    """Return the rules of free text, optionally followed by calls; no call begins inside it."""
    plain = rf"PLAIN: {ANYTHING} & ~/(.|\n)*{escape(form.opener)}(.|\n)*/"
    if literals.begins_special(form.opener):
        # Text never contains the token, and must not spell it.
        return "plain calls?", [plain, "plain: PLAIN"]
    if not form.opener:
        call = rf"/[ \n\t]*{form.start_pattern}(.|\n)*/"
        return "plain | calls", [f"PLAIN: {ANYTHING} & ~{call}", "plain: PLAIN"]
    return "plain | said_first after", [
        plain,
        "plain: PLAIN",
        *literals.text_until("said_first", form.opener),
    ]


def _call_rules(
    functions: Sequence[ModelFunction],
    arguments: Sequence[ArgumentRules],
    form: CallFormat,
    literals: Literals,
) -> list[str]:
    if not functions:
        return []
    lines = ["call: " + " | ".join(f"call_{number}" for number in range(len(functions)))]
    firsts: list[str] = []
    for number, tool in enumerate(functions):
        # The opener of a call in harmony is a part of its header.
        opener = form.opener if form == HARMONY else ""
        head = f"{form.head}{tool.name}{form.after_name}"
        rest = f"{arguments[number].start} {literals.write(form.tail)}".rstrip()
        lines.append(f"call_{number}: {_numbered(opener + head, literals)} {rest}")
        # In one literal, so that it is told from text, which begins alike.
        first = _numbered(form.after_opener + head, literals)
        firsts.append(f"first_{number}: {first} {rest}")
    if form.opener:
        return lines
    return [*lines, lines[0].replace("call", "first"), *firsts]


def _numbered(text: str, literals: Literals) -> str:
    """Return a delimiter in which the model writes numbers."""
    return " /[0-9]{1,9}/ ".join(map(literals.write, text.split(NUMBER)))


def _input_rules(customs: Sequence[ModelFunction], literals: Literals) -> list[str]:
    """Return the rules of the calls of custom tools."""
    if not customs:
        return []
    lines = ["custom: " + " | ".join(f"custom_{number}" for number in range(len(customs)))]
    for number, tool in enumerate(customs):
        source = "any_input" if isinstance(tool.input_format, TextInput) else f"@input_{number}"
        head = orjson.dumps(custom_head(tool.name)).decode()
        lines.append(f"custom_{number}: {head} {source}")
    if any(isinstance(tool.input_format, TextInput) for tool in customs):
        lines += [
            "any_input: INPUT | closed_input",
            rf"INPUT: {ANYTHING} & ~/(.|\n)*{escape(CLOSER)}(.|\n)*/",
            *literals.text_until("closed_input", CLOSER),
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
