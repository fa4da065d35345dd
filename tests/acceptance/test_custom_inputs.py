"""Inputs of a custom tool that the default weights write, judged by a parser of its own.

`make nightly` runs a few seeds at temperature 1, `make grammars` 200.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from lark import Lark, UnexpectedInput
from openai import OpenAI
from openai.types.responses import ResponseCustomToolCall

from tests.acceptance.server import AntiphonServer
from tests.patches import APPLY_PATCH_GRAMMAR, PATCH

NUM_SEEDS = int(os.environ.get("GRAMMAR_SEEDS", "16"))
MAX_TOKENS = 192
MIN_ENDED = 0.05
"""Least share of inputs that end before `MAX_TOKENS`; the others cannot be judged."""
TIMEOUT_S = 1500.0

TOOL: Any = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Changes files by a patch.",
    "format": {"type": "grammar", "syntax": "lark", "definition": APPLY_PATCH_GRAMMAR},
}
QUESTION = "Add a file a.txt with one short line, by a patch that is as short as can be."


def ask(client: OpenAI, seed: int) -> tuple[str, str]:
    """Return the status of a response and the input of its call."""
    response = client.responses.create(
        input=QUESTION,
        tools=[TOOL],
        tool_choice={"type": "custom", "name": "apply_patch"},
        temperature=1,
        max_output_tokens=MAX_TOKENS,
        extra_body={"seed": seed},
        timeout=TIMEOUT_S,
    )
    [call] = (item for item in response.output if isinstance(item, ResponseCustomToolCall))
    return str(response.status), call.input


@pytest.mark.nightly
@pytest.mark.timeout(TIMEOUT_S)
def test_every_finished_patch_parses(server: AntiphonServer) -> None:
    # The same language: this parser takes no pattern that matches the empty text.
    client, parser = server.client(), Lark(APPLY_PATCH_GRAMMAR.replace("/(.*)/", "/(.+)/?"))
    with pytest.raises(UnexpectedInput):
        parser.parse(PATCH.replace("*** End", "*** Stop"))
    parser.parse(PATCH)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda seed: ask(client, seed), range(NUM_SEEDS)))

    ended = [text for status, text in answers if status == "completed"]
    assert {status for status, _ in answers} <= {"completed", "incomplete"}
    for text in ended:
        parser.parse(text)
    assert len(ended) >= MIN_ENDED * NUM_SEEDS
    print(f"\n{len(ended)} of {NUM_SEEDS} patches judged")
