"""Where the output of a request is JSON: there, no object may have a name twice."""

from typing import Any

import pytest

from models.chat.scripted_encoder import ScriptedEncoder
from models.profile.profile import Profile
from models.schemas.request.parameters import GenerationParameters
from worker.engine.interface import JsonOutput
from worker.generation.request.engine_request import find_json

_TOOLS: dict[str, Any] = {"tools": [{"type": "function", "name": "f"}]}
_JSON: dict[str, Any] = {"text": {"format": {"type": "json_object"}}}
_REGEX: dict[str, Any] = {"grammar": {"type": "regex", "value": "a"}}
_FORCED = {**_TOOLS, "tool_choice": "required"}


def found(script: str = "", *, opens_reasoning: bool = False, **fields: Any) -> JsonOutput | None:
    parameters = GenerationParameters.model_validate(fields)
    encoder = ScriptedEncoder(script=script)
    return find_json(parameters, encoder, opens_reasoning=opens_reasoning)


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({}, None),
        (_REGEX, None),
        (_JSON, JsonOutput()),
        ({"grammar": {"type": "json_schema", "value": {}}}, JsonOutput()),
        ({**_JSON, "stop": ["x"]}, JsonOutput()),
        (_FORCED, JsonOutput()),
        ({**_TOOLS, **_JSON}, JsonOutput()),
        ({**_TOOLS, **_REGEX}, None),
        (_TOOLS, JsonOutput(begins_free=True, closer="<tool_call>")),
    ],
)
def test_without_reasoning(fields: dict[str, Any], output: JsonOutput | None) -> None:
    assert found(**fields) == output


def test_reasoning_is_free_text() -> None:
    script = "<think>Hm.</think>{}"

    assert found(script, **_JSON) == JsonOutput(opener="<think>", closer="</think>")
    assert found(script, opens_reasoning=True, **_JSON) == JsonOutput(
        begins_free=True, opener="<think>", closer="</think>"
    )


class _MarkingEncoder(ScriptedEncoder):
    """Encoder whose calls begin with a special token."""

    def __init__(self, style: Any) -> None:
        super().__init__()
        self.profile = Profile(call_style=style)

    def special_id(self, text: str) -> int | None:
        """Return a number for the opener of Mistral's calls."""
        return 7 if text == "[TOOL_CALLS]" else None


@pytest.mark.parametrize(
    ("style", "output"), [("mistral", JsonOutput(begins_free=True, closer=7)), ("llama", None)]
)
def test_text_before_optional_calls_is_free(style: Any, output: JsonOutput | None) -> None:
    parameters = GenerationParameters.model_validate(_TOOLS)

    assert find_json(parameters, _MarkingEncoder(style), opens_reasoning=False) == output
