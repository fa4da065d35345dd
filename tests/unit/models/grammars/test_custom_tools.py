"""Grammars of outputs that may or must call a custom tool."""

from typing import Any

import pytest

from models.errors import InvalidRequestError
from models.grammars.calls.tool_calls import tool_grammar
from models.grammars.compile import input_grammar
from models.profile.formats.table import GENERIC
from models.profile.profile import Profile
from models.schemas.request.parameters import GenerationParameters
from models.schemas.tools.custom import GrammarInput
from models.tools.choice import call_rule, format_of
from tests.patches import APPLY_PATCH_GRAMMAR, PATCH
from tests.unit.models.grammars.test_compile import accepts

F = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
APPLY_PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "format": {"type": "grammar", "syntax": "lark", "definition": APPLY_PATCH_GRAMMAR},
}
DIGITS = {
    "type": "custom",
    "name": "digits",
    "format": {"type": "grammar", "syntax": "regex", "definition": "[0-9]{3}"},
}
NOTE = {"type": "custom", "name": "note"}
OPENER = "<tool_call>\n"
F_CALL = OPENER + '{"name": "f", "arguments": {}}\n</tool_call>'
PATCH_CALL = OPENER + '{"name": "apply_patch"}\n' + PATCH


def grammar_for(tools: list[dict[str, Any]], body: str | None = None, **fields: Any) -> str:
    parameters = GenerationParameters.model_validate({"tools": tools, **fields})
    return tool_grammar(call_rule(parameters), GENERIC, body=body)


@pytest.mark.parametrize(
    ("tools", "text"),
    [
        ([APPLY_PATCH], PATCH_CALL),
        ([APPLY_PATCH, F], f"Well.\n{PATCH_CALL}\n"),
        ([APPLY_PATCH, F], f"{F_CALL}\n{PATCH_CALL}"),
        ([APPLY_PATCH, F], F_CALL),
        ([APPLY_PATCH, NOTE, DIGITS, F], "Plain text {"),
        ([DIGITS], OPENER + '{"name": "digits"}\n123'),
        ([NOTE], OPENER + '{"name": "note"}\nany < text'),
        ([NOTE, F], OPENER + '{"name": "note"}\nany\n</tool_call>'),
        ([NOTE], OPENER + '{"name": "note"}\n'),
    ],
)
def test_calls_with_inputs_that_follow_their_grammar_are_accepted(
    tools: list[dict[str, Any]], text: str
) -> None:
    assert accepts(grammar_for(tools), text)


@pytest.mark.parametrize(
    ("tools", "text"),
    [
        ([APPLY_PATCH], PATCH_CALL.replace("*** End", "*** Stop")),
        ([APPLY_PATCH], PATCH_CALL.removesuffix(" Patch")),
        ([APPLY_PATCH], PATCH_CALL + "\n</tool_call>"),
        ([APPLY_PATCH, F], f"{PATCH_CALL}\n{F_CALL}"),
        ([DIGITS], OPENER + '{"name": "digits"}\n12'),
        ([DIGITS], OPENER + '{"name": "digits", "arguments": {}}'),
        ([NOTE], OPENER + '{"name": "note"}\na\n</tool_call>b'),
        ([F], OPENER + '{"name": "f"}\n'),
    ],
)
def test_others_are_not(tools: list[dict[str, Any]], text: str) -> None:
    assert not accepts(grammar_for(tools), text)


def test_a_chosen_tool_must_be_called() -> None:
    chosen = {"type": "custom", "name": "digits"}
    for choice in (chosen, {"type": "allowed_tools", "mode": "required", "tools": [chosen]}):
        grammar = grammar_for([APPLY_PATCH, DIGITS, F], tool_choice=choice)

        assert accepts(grammar, OPENER + '{"name": "digits"}\n123')
        for text in ("123", F_CALL, PATCH_CALL):
            assert not accepts(grammar, text), text


def test_one_call_at_most_is_kept_to() -> None:
    grammar = grammar_for([APPLY_PATCH, F], parallel_tool_calls=False)

    assert accepts(grammar, PATCH_CALL)
    assert accepts(grammar, F_CALL)
    assert not accepts(grammar, f"{F_CALL}\n{PATCH_CALL}")


@pytest.mark.parametrize("tools", [[NOTE], [{"type": "namespace", "name": "n", "tools": [NOTE]}]])
def test_they_are_written_in_the_generic_format_of_calls(tools: list[dict[str, Any]]) -> None:
    parameters = GenerationParameters.model_validate({"tools": tools})

    assert format_of(parameters, Profile(call_style="mistral")) is GENERIC


@pytest.mark.parametrize(
    ("syntax", "definition"),
    [("lark", "start: <a>"), ("regex", "(a{1000}){1000}"), ("lark", "start: /(a{1000}){1000}/")],
)
def test_what_grammars_may_not_contain_is_refused_by_name(syntax: Any, definition: str) -> None:
    chosen = GrammarInput(type="grammar", syntax=syntax, definition=definition)
    param = "tools[1].format.definition"

    with pytest.raises(InvalidRequestError) as caught:
        input_grammar(chosen, param=param)

    assert (caught.value.param, caught.value.code) == (param, "invalid_grammar")
