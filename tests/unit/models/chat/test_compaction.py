"""Plans of compactions: which items a summary replaces, and which stay."""

from typing import Any

import pytest

from models.chat.compaction import plan_compaction, summary_length
from models.chat.scripted_encoder import SCRIPTED_CONTEXT, ScriptedEncoder
from models.encryption.compaction import decrypt_compaction, encrypt_compaction
from models.encryption.items import decrypt_items
from models.schemas.request.parameters import GenerationParameters
from tests.engine_view import CIPHER, PROJECT

SYSTEM = {"type": "message", "role": "developer", "content": "s"}
ASKED = {"type": "message", "role": "user", "content": "a" * 50}
SAID = {"type": "message", "role": "assistant", "content": "b"}
LAST = {"type": "message", "role": "user", "content": "c"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "x"}
TOOLS = {"type": "additional_tools", "role": "developer", "tools": []}
SUMMARY, _ = decrypt_compaction(CIPHER, PROJECT, encrypt_compaction(CIPHER, PROJECT, "s", []))

Items = list[dict[str, Any]]


def parameters_with(threshold: int | None, **fields: Any) -> GenerationParameters:
    entry = {"type": "compaction", "compact_threshold": threshold}
    return GenerationParameters.model_validate({"context_management": [entry], **fields})


@pytest.mark.parametrize(
    ("items", "older", "kept"),
    [
        ([ASKED, SAID, LAST], [ASKED, SAID], [LAST]),
        ([SYSTEM, ASKED, SYSTEM, SAID, LAST], [ASKED, SAID], [SYSTEM, SYSTEM, LAST]),
        ([ASKED, TOOLS, SAID, LAST, CALL, OUTPUT], [ASKED, SAID], [TOOLS, LAST, CALL, OUTPUT]),
        ([ASKED, CALL, OUTPUT, LAST], [ASKED, CALL, OUTPUT], [LAST]),
        ([ASKED, CALL, LAST, OUTPUT], [ASKED], [CALL, LAST, OUTPUT]),
        ([SUMMARY, SYSTEM, ASKED, LAST], [SUMMARY, ASKED], [SYSTEM, LAST]),
    ],
)
def test_all_but_the_newest_turn_is_older(items: Items, older: Items, kept: Items) -> None:
    plan = plan_compaction(ScriptedEncoder(), parameters_with(10), items)

    assert plan is not None
    assert (plan.older, plan.kept) == (older, kept)


@pytest.mark.parametrize(
    ("items", "parameters"),
    [
        ([ASKED, SAID, LAST], GenerationParameters()),
        ([ASKED, SAID, LAST], parameters_with(54)),  # the prompt has a line break between messages
        ([ASKED, SAID, LAST], parameters_with(None)),
        ([ASKED, SAID, LAST], parameters_with(10, generate=False)),
        ([SYSTEM, ASKED], parameters_with(10)),
        ([ASKED], parameters_with(10)),
        ([], parameters_with(10)),
    ],
    ids=["not asked", "short", "fits", "warm-up", "one turn", "one message", "nothing"],
)
def test_there_is_no_plan_where_nothing_need_or_can_be_shortened(
    items: Items, parameters: GenerationParameters
) -> None:
    assert plan_compaction(ScriptedEncoder(), parameters, items) is None


def test_without_a_threshold_the_output_must_have_room() -> None:
    long = {**ASKED, "content": "a" * (SCRIPTED_CONTEXT - 2000)}
    parameters = parameters_with(None, max_output_tokens=5000)

    assert plan_compaction(ScriptedEncoder(), parameters, [long, LAST]) is not None


def test_what_is_far_too_long_to_be_counted_is_compacted() -> None:
    long = {**ASKED, "content": "a" * 3 * SCRIPTED_CONTEXT}

    assert plan_compaction(ScriptedEncoder(), parameters_with(10), [long, LAST]) is not None


def test_the_summary_is_made_as_the_answer_is_but_freely() -> None:
    asked = {"temperature": 0.5, "seed": 7, "instructions": "i", "stop": ["x"], "n": 2}
    plan = plan_compaction(ScriptedEncoder(), parameters_with(2000, **asked), [ASKED] * 50)

    assert plan is not None
    made = plan.summary_parameters(parameters_with(2000, **asked)).model_dump(exclude_defaults=True)
    assert made == {
        "temperature": 0.5,
        "seed": 7,
        "instructions": "i",
        "max_output_tokens": 500,
        "truncation": "auto",
        "reasoning": {"effort": "none"},
    }


@pytest.mark.parametrize(
    ("num_tokens", "context", "length"),
    [(4, 4096, 128), (1000, 4096, 250), (100_000, 4096, 1024), (100_000, 2048, 512)],
)
def test_a_summary_has_a_quarter_of_its_source(num_tokens: int, context: int, length: int) -> None:
    assert summary_length(num_tokens, context) == length


def test_a_compaction_made_with_an_answer_replaces_all_before_it() -> None:
    content = encrypt_compaction(CIPHER, PROJECT, "s", [SYSTEM, LAST])
    compaction = {"type": "compaction", "encrypted_content": content}

    read = decrypt_items(CIPHER, PROJECT, [ASKED, SAID, compaction, SAID])

    assert read == [SUMMARY, SYSTEM, LAST, SAID]


def test_images_are_not_part_of_a_compaction() -> None:
    text = {"type": "input_text", "text": "a"}
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    kept = [{**LAST, "content": [text, image]}, {**OUTPUT, "output": [image]}]

    _, read = decrypt_compaction(CIPHER, PROJECT, encrypt_compaction(CIPHER, PROJECT, "s", kept))

    shown = {"type": "input_text", "text": "(an image)"}
    assert read == [{**LAST, "content": [text, shown]}, {**OUTPUT, "output": [shown]}]
