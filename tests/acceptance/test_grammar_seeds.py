"""Every kind of grammar with the default weights, drawn at temperature 1 among free answers.

The suite takes a few seeds of each kind; `make grammars` takes 200. The judges (jsonschema, re,
lark) share no code with the engine's compiler.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.chat import Prompt, TemplateEncoder
from models.grammar_check import GRAMMAR_LIMITS
from models.settings import Settings
from models.weights import locate_weights
from tests.unit.engine.harness import Harness, greedy
from tests.unit.engine.test_grammar_kinds import KINDS, NUM_FREE, request_of
from worker.engine import EngineConfig, FinishReason, TransformersEngine

NUM_SEEDS = int(os.environ.get("GRAMMAR_SEEDS", "3"))
MAX_TOKENS = 120
DEADLINE_S = 1500.0
MIN_ENDED = 0.75
"""Of the answers, those that end before `MAX_TOKENS` cut them off; the others cannot be judged."""

QUESTION = "Answer with an example, as short as you can."


@pytest.fixture(scope="module")
def encoder(weights_dir: Path) -> TemplateEncoder:
    return TemplateEncoder(locate_weights(Settings(data_dir=weights_dir.parent)))


@pytest.fixture(scope="module")
def harness(encoder: TemplateEncoder) -> Iterator[Harness]:
    made = Harness(deadline_s=DEADLINE_S)
    config = EngineConfig(
        folder=encoder.folder,
        dtype="float32",
        kv_cache_bytes=1 << 30,
        max_sequences=64,
        grammar_limits=GRAMMAR_LIMITS,
    )
    made.engine = TransformersEngine(config, made.on_step)
    made.engine.start()
    yield made
    made.engine.stop()


@pytest.mark.timeout(DEADLINE_S)
def test_what_the_default_weights_write_obeys(encoder: TemplateEncoder, harness: Harness) -> None:
    message = {"type": "message", "role": "user", "content": QUESTION}
    prompt = encoder.encode(Prompt(instructions=None, items=[message]))
    alone = harness.run(*(greedy(f"alone {n}", prompt[n:], MAX_TOKENS) for n in range(NUM_FREE)))
    free = [greedy(f"free {n}", prompt[n:], MAX_TOKENS) for n in range(NUM_FREE)]
    held = [
        request_of(fields, seed, MAX_TOKENS, prompt=prompt, sequence_id=f"{kind} {seed}")
        for seed in range(NUM_SEEDS)
        for kind, (fields, _) in KINDS.items()
    ]

    outputs = harness.run(*free, *held)

    assert outputs[:NUM_FREE] == alone
    ended = [each.sequence_id for each in held if _is_whole(harness.reason(each.sequence_id))]
    assert len(ended) >= MIN_ENDED * len(held)
    for name in ended:
        kind, _, seed = name.rpartition(" ")
        text = encoder.tokenizer.backend_tokenizer.decode(harness.tokens(name))
        try:
            KINDS[kind][1](text)
        except Exception as error:
            raise AssertionError(f"{kind}, seed {seed}: {text!r}") from error
    print(f"\n{len(ended)} of {len(held)} answers judged, {NUM_SEEDS} seeds of {len(KINDS)} kinds")


def _is_whole(reason: FinishReason | None) -> bool:
    """Whether the answer ended by itself; one that failed fails the test."""
    assert reason in (FinishReason.STOP, FinishReason.GRAMMAR, FinishReason.LENGTH)
    return reason is not FinishReason.LENGTH
