"""Sequences that become longer than a model's original length, beside others that do not.

All positions of such a sequence then have other rotary factors (longrope), as if it had been given
as one prompt: that is what `model.generate` computes, and what is compared with here.
"""

from pathlib import Path
from typing import Any

import pytest
from transformers import Phi3Config, PhimoeConfig

from tests.unit.worker.engine.conftest import EngineFactory, Oracle
from tests.unit.worker.engine.harness import Harness, greedy
from tests.unit.worker.engine.tiny_networks import SIZES, generated, saved

ORIGINAL_LENGTH = 64
NUM_TOKENS = 24
LONGROPE: dict[str, Any] = {
    **{"rope_type": "longrope", "rope_theta": 10000.0},
    **{"short_factor": [1.0, 1.2, 1.5, 2.0], "long_factor": [1.0, 3.0, 9.0, 20.0]},
}
_MSCALES = {"short_mscale": 1.0, "long_mscale": 4.0}
_ORIGINAL: dict[str, Any] = {"original_max_position_embeddings": ORIGINAL_LENGTH}
CONFIGS = {
    "phi3": Phi3Config(
        **SIZES, **_ORIGINAL, max_position_embeddings=512, rope_parameters=dict(LONGROPE)
    ),
    "phimoe": PhimoeConfig(
        **SIZES,
        **_ORIGINAL,
        max_position_embeddings=512,
        num_local_experts=4,
        sliding_window=None,
        rope_parameters={**LONGROPE, **_MSCALES, **_ORIGINAL},
    ),
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(CONFIGS["phi3"], id="phi3"),
        pytest.param(CONFIGS["phimoe"], id="phimoe", marks=pytest.mark.nightly),
    ],
)
def longrope(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any]:
    """Save a network; return its folder, and the network itself."""
    folder = tmp_path_factory.mktemp("longrope")
    return folder, saved(request.param, folder)


@pytest.fixture
def network(longrope: tuple[Path, Any]) -> Any:
    return longrope[1]


@pytest.fixture
def harness(longrope: tuple[Path, Any], make_engine: EngineFactory) -> Harness:
    return make_engine(folder=longrope[0], kv_cache_bytes=1 << 22)


@pytest.fixture
def oracle(network: Any) -> Oracle:
    return lambda prompt, num_tokens: generated(network, prompt, num_tokens)


def prompt(size: int, first: int = 3) -> list[int]:
    return [(7 * n + first) % 120 for n in range(size)]


def test_rows_that_cross_the_original_length_do_not_change_others(
    harness: Harness, oracle: Oracle
) -> None:
    # Short to the end, short at first, at the border, long from the start and in several chunks.
    prompts = [prompt(10), prompt(50, 5), prompt(63, 6), prompt(64, 7), prompt(65, 8), prompt(300)]
    requests = [greedy(str(n), tokens, NUM_TOKENS) for n, tokens in enumerate(prompts)]

    assert harness.run(*requests) == [oracle(tokens, NUM_TOKENS) for tokens in prompts]


def test_the_factors_make_a_difference(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = generated(network, prompt(50, 5), NUM_TOKENS)

    [name] = _ORIGINAL
    monkeypatch.setattr(network.config, name, 512)
    monkeypatch.setitem(network.config.rope_parameters, name, 512)
    always_short = generated(network, prompt(50, 5), NUM_TOKENS)

    assert changed[:10] == always_short[:10]
    assert changed != always_short


def test_keys_with_the_factors_of_short_sequences_are_not_reused_for_long_ones(
    harness: Harness, oracle: Oracle
) -> None:
    short, long = prompt(50), prompt(150)
    harness.run(greedy("short", short, 4))

    assert harness.run(greedy("long", long, 8)) == [oracle(long, 8)]
    assert harness.deltas["long"][0].num_cached_tokens == 0

    assert harness.run(greedy("long again", long, 8)) == [oracle(long, 8)]
    assert harness.deltas["long again"][0].num_cached_tokens >= 128
    assert harness.run(greedy("short again", short, 4)) == [oracle(short, 4)]
    assert harness.deltas["short again"][0].num_cached_tokens >= 32


def test_a_second_turn_reuses_what_was_computed_after_the_first_had_crossed(
    harness: Harness, oracle: Oracle
) -> None:
    first = prompt(50)
    [answer] = harness.run(greedy("first", first, NUM_TOKENS))
    second = [*first, *answer, 5, 6, 7]

    assert harness.run(greedy("second", second, NUM_TOKENS)) == [oracle(second, NUM_TOKENS)]
    assert harness.deltas["second"][0].num_cached_tokens >= ORIGINAL_LENGTH


def test_an_answer_that_crosses_can_be_resumed_at_every_position(
    harness: Harness, oracle: Oracle
) -> None:
    whole = oracle(prompt(55), NUM_TOKENS)
    requests = [
        greedy(str(n), prompt(55), NUM_TOKENS, generated=whole[:n]) for n in range(NUM_TOKENS)
    ]

    assert harness.run(*requests) == [whole[n:] for n in range(NUM_TOKENS)]


def test_a_sequence_that_crosses_may_be_preempted(
    longrope: tuple[Path, Any], make_engine: EngineFactory, oracle: Oracle, harness: Harness
) -> None:
    num_slots = harness.block_size * harness.engine._runner.num_blocks  # type: ignore[attr-defined]
    tight = make_engine(folder=longrope[0], kv_cache_bytes=160 * ((1 << 22) // num_slots))
    preempted = tight.count_preemptions()
    prompts = [prompt(60), prompt(50, 4)]

    answers = tight.run(*(greedy(str(n), it, NUM_TOKENS) for n, it in enumerate(prompts)))

    assert answers == [oracle(it, NUM_TOKENS) for it in prompts]
    assert preempted
