"""Output of a running engine with a forced tool call: follows its grammar, and resumes."""

import json
from dataclasses import replace

from models.grammars.calls.tool_calls import tool_grammar
from models.profile.formats.table import GENERIC
from models.schemas.request.parameters import GenerationParameters
from models.tools.choice import call_rule
from tests.unit.worker.engine.conftest import byte_tokenizer
from tests.unit.worker.engine.harness import Harness, greedy
from worker.engine.interface import FinishReason, ForcedPrefix

SCHEMA = {
    "type": "object",
    "properties": {"a": {"enum": [1, 22]}},
    "required": ["a"],
    "additionalProperties": False,
}
PARAMETERS = GenerationParameters.model_validate(
    {
        "tools": [{"type": "function", "name": "f", "strict": True, "parameters": SCHEMA}],
        "parallel_tool_calls": False,
    }
)
GRAMMAR = tool_grammar(call_rule(PARAMETERS), GENERIC)
OPENER = byte_tokenizer().encode(GENERIC.opener).ids
MOST = 80


def test_a_call_is_begun_and_is_whole_and_resumes_anywhere(harness: Harness) -> None:
    forced_prefix = ForcedPrefix(token_ids=OPENER, threshold=1000.0)
    request = replace(greedy("whole", [5, 6], MOST), grammar=GRAMMAR, forced_prefix=forced_prefix)

    [whole] = harness.run(request)

    text = byte_tokenizer().decode(whole)
    assert harness.reason("whole") is FinishReason.GRAMMAR
    call = json.loads(text.removeprefix("<tool_call>").removesuffix("</tool_call>"))
    assert call == {"name": "f", "arguments": {"a": call["arguments"]["a"]}}
    assert call["arguments"]["a"] in (1, 22)
    rests = harness.run(
        *(replace(request, sequence_id=str(n), generated=whole[:n]) for n in (1, 5, 15))
    )
    assert rests == [whole[n:] for n in (1, 5, 15)]


def test_one_that_must_not_come_first_does_not(harness: Harness) -> None:
    [first] = harness.run(greedy("first", [5, 6], 1))
    forced_prefix = ForcedPrefix(token_ids=first, threshold=-float("inf"))

    [other] = harness.run(replace(greedy("other", [5, 6], 1), forced_prefix=forced_prefix))

    assert other != first
