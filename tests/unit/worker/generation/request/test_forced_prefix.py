"""Tokens that an answer begins with, as the profile of the weights has it."""

from math import inf
from typing import Any

import pytest

from models.chat.prompt import EncodedPrompt
from models.chat.scripted_encoder import ScriptedEncoder
from models.profile.profile import Profile
from models.schemas.request.parameters import GenerationParameters
from worker.generation.request.engine_request import forced_prefix


def threshold(
    profile: Profile, *, num_tools: int, is_after_output: bool = False, turn: int = 0, **fields: Any
) -> float | None:
    """Return the threshold of the prefix; None if there is no prefix."""
    encoder = ScriptedEncoder()
    encoder.profile = profile
    tools = [{"type": "function", "name": f"f{number}"} for number in range(num_tools)]
    parameters = GenerationParameters.model_validate({"tools": tools, **fields})
    prompt = EncodedPrompt(token_ids=[1], is_after_tool_output=is_after_output)
    prefix = forced_prefix(parameters, encoder, prompt, turn=turn)
    return None if prefix is None else prefix.threshold


@pytest.mark.parametrize(
    ("profile", "num_tools", "expected"),
    [
        (Profile(), 9, None),
        (Profile(call_margin=2.0), 9, 2.0),
        (Profile(call_margin=2.0, max_functions=6), 6, 2.0),
        (Profile(call_margin=2.0, max_functions=6), 7, -inf),
        (Profile(max_functions=6), 7, -inf),
        (Profile(max_functions=6), 6, None),
        (Profile(call_margin=2.0), 0, None),
    ],
)
def test_weights_begin_a_call_among_as_many_functions_as_they_can_choose_from(
    profile: Profile, num_tools: int, expected: float | None
) -> None:
    assert threshold(profile, num_tools=num_tools) == expected


def test_a_call_that_is_required_has_no_threshold() -> None:
    profile = Profile(call_margin=2.0, max_functions=1)

    assert threshold(profile, num_tools=2, tool_choice="required") is None


@pytest.mark.parametrize("calls_again", [True, False])
def test_what_has_been_answered_calls_for_an_answer(calls_again: bool) -> None:
    profile = Profile(call_margin=2.0, calls_again=calls_again)
    expected = None if calls_again else -inf

    assert threshold(profile, num_tools=1, is_after_output=True) == expected
    assert threshold(profile, num_tools=1, turn=1) == expected
