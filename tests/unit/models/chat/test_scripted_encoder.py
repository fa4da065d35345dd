"""The scripted engine's model reasons and calls in the notation of its script."""

import pytest

from models.chat.prompt import Prompt
from models.chat.scripted_encoder import ScriptedEncoder
from models.profile.formats.table import CALL_FORMATS, GENERIC

_PROMPT = Prompt(instructions=None, items=[{"role": "user", "content": "Hello."}])


@pytest.mark.parametrize("style", ["glm", "granite", "gemma_4"])
def test_calls_in_the_notation_of_the_script_are_read(style: str) -> None:
    call_format = CALL_FORMATS[style]
    inner = getattr(call_format.arguments, "before_name", "")
    encoder = ScriptedEncoder(script=f"{call_format.opener}f{inner}")

    assert call_format in encoder.profile.call_format.also
    assert encoder.profile.call_format.opener == GENERIC.opener
    assert not encoder.profile.takes_tools


def test_a_script_without_calls_has_the_generic_format() -> None:
    assert ScriptedEncoder(script="Hello.").profile.call_format == GENERIC


@pytest.mark.parametrize(
    ("script", "opens_reasoning"),
    [("Hm.<|close|>think<|sep|><|open|>response<|sep|>", True), ("<think>Hm.</think>", False)],
)
def test_kimi_k3_begins_within_its_reasoning(script: str, opens_reasoning: bool) -> None:
    encoded = ScriptedEncoder(script=script).encode_media(_PROMPT)

    assert encoded.opens_reasoning is opens_reasoning
