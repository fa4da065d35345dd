"""Engine on the default weights: same output as `model.generate`, small loss, valid grammars.

Every kind of grammar runs with a few seeds, sampled at temperature 1 in a batch with unconstrained
answers. `make grammars` runs 200 seeds, or those of `GRAMMAR_FIRST_SEED=150 GRAMMAR_SEEDS=50`. The
output is checked by jsonschema, re and lark, which share no code with the engine's compiler.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from llguidance import LLMatcher, grammar_from
from llguidance.hf import from_tokenizer
from transformers import AutoModelForCausalLM

from bench.loss import log_probabilities
from models.chat.prompt import Prompt
from models.chat.template_encoder import TemplateEncoder
from models.grammars.isolation.bounds import GRAMMAR_LIMITS
from models.grammars.tokenizer import grammar_tokenizer
from models.profile.weights import locate_weights
from models.settings import Settings
from tests.unit.worker.engine.contract.test_grammar_kinds import KINDS, NUM_FREE, request_of
from tests.unit.worker.engine.harness import Harness, greedy
from tests.unit.worker.engine.tiny_networks import generated
from worker.engine.interface import EngineConfig, FinishReason
from worker.engine.transformers.engine import TransformersEngine
from worker.engine.transformers.forward import Forward
from worker.engine.transformers.model_runner import load_forward

NUM_SEEDS = int(os.environ.get("GRAMMAR_SEEDS", "2"))
FIRST_SEED = int(os.environ.get("GRAMMAR_FIRST_SEED", "0"))
MAX_TOKENS = 64
DEADLINE_S = 1500.0
MIN_ENDED = 0.5
"""Least share of answers that end before `MAX_TOKENS`; the others cannot be checked."""

NUM_EQUAL = 16
LOSSES = {"bfloat16": (0.01, 0.9), "int8": (0.05, 0.85), "int4": (0.5, 0.6)}
"""Largest mean divergence from float32 in nats, and least share of equal top tokens, by dtype."""
QUESTIONS = ("What is the capital of France?", "Write a haiku about rain.", "2 + 2 =", "Hi!")
TEXT = (
    "The lighthouse keeper climbed the stairs every evening, lit the lamp, and wrote down what he "
    "saw: the weather, the ships, and how high the water stood. He had done so for thirty years, "
    "and nobody had ever read a line of it. Then, one morning, a letter came."
)

LETTER = 81
"""Token id of `a`."""

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
        forward="openvino",
        graph_folder=graph_folder(encoder.folder),
        kv_cache_bytes=1 << 30,
        max_sequences=64,
        grammar_limits=GRAMMAR_LIMITS,
        make_grammar_tokenizer=grammar_tokenizer,
    )
    made.engine = TransformersEngine(config, made.on_step)
    made.engine.start()
    yield made
    made.engine.stop()


def graph_folder(folder: Path) -> Path:
    """Return the server's folder of converted networks, so that they are converted only once."""
    return folder.parent / ".openvino" / folder.name


def ask(encoder: TemplateEncoder, question: str) -> list[int]:
    message = {"type": "message", "role": "user", "content": question}
    return encoder.encode(Prompt(instructions=None, items=[message]))


@pytest.mark.nightly
def test_answers_are_those_of_generate_from_every_position(
    encoder: TemplateEncoder, harness: Harness
) -> None:
    model = AutoModelForCausalLM.from_pretrained(encoder.folder, dtype=torch.float32)
    prompts = [ask(encoder, question) for question in QUESTIONS]

    outputs = harness.run(
        *(
            greedy(question, prompt, NUM_EQUAL)
            for question, prompt in zip(QUESTIONS, prompts, strict=True)
        )
    )

    for prompt, output in zip(prompts, outputs, strict=True):
        assert output == generated(model, prompt, NUM_EQUAL)
    resumed = [
        greedy(f"from {n}", prompts[1], NUM_EQUAL, generated=outputs[1][:n])
        for n in range(NUM_EQUAL)
    ]
    assert harness.run(*resumed) == [outputs[1][n:] for n in range(NUM_EQUAL)]


@pytest.mark.nightly
@pytest.mark.parametrize("dtype", LOSSES)
def test_fewer_bits_lose_no_more_than_is_said(encoder: TemplateEncoder, dtype: Any) -> None:
    tokens = encoder.tokenizer.backend_tokenizer.encode(TEXT).ids
    exact, found = (
        log_probabilities(load(encoder.folder, name), tokens) for name in ("float32", dtype)
    )

    most, least = LOSSES[dtype]
    assert (exact.exp() * (exact - found)).sum(-1).mean() < most
    assert (exact.argmax(-1) == found.argmax(-1)).float().mean() >= least


def load(folder: Path, dtype: Any) -> Forward:
    config = EngineConfig(
        folder=folder,
        dtype=dtype,
        forward="openvino",
        graph_folder=graph_folder(folder),
        kv_cache_bytes=1 << 28,
        max_sequences=1,
    )
    return load_forward(config)


@pytest.mark.timeout(DEADLINE_S)
def test_what_the_default_weights_write_obeys(encoder: TemplateEncoder, harness: Harness) -> None:
    prompt = ask(encoder, QUESTION)
    alone = harness.run(*(greedy(f"alone {n}", prompt[n:], MAX_TOKENS) for n in range(NUM_FREE)))
    free = [greedy(f"free {n}", prompt[n:], MAX_TOKENS) for n in range(NUM_FREE)]
    held = [
        request_of(fields, seed, MAX_TOKENS, prompt=prompt, sequence_id=f"{kind} {seed}")
        for seed in range(FIRST_SEED, FIRST_SEED + NUM_SEEDS)
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


@pytest.mark.parametrize("pattern", ["[a-zA-Z ,.]{90}", r"[a-z ]{4}\d", "[a-z]{40}!", r"\w{9} "])
def test_shortcuts_of_the_mask_allow_the_same_tokens(
    encoder: TemplateEncoder, harness: Harness, pattern: str
) -> None:
    plain = LLMatcher(from_tokenizer(encoder.tokenizer), grammar_from("regex", pattern))

    ours = harness.engine._grammars.matcher(grammar_from("regex", pattern)).raw  # type: ignore[attr-defined]

    for _ in range(4):
        assert ours.compute_bitmask() == plain.compute_bitmask()
        assert ours.consume_tokens([LETTER]) == plain.consume_tokens([LETTER])


def _is_whole(reason: FinishReason | None) -> bool:
    """Return True if the answer ended by itself; fail the test if generation failed."""
    assert reason in (FinishReason.STOP, FinishReason.GRAMMAR, FinishReason.LENGTH)
    return reason is not FinishReason.LENGTH
