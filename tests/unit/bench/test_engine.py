"""The engine benchmark on a tiny network: it measures what it reports."""

from pathlib import Path

import pytest

from bench.engine import main
from bench.engines.batches import PROMPT_TOKENS, Bench
from bench.engines.batching import TransformersBatching
from bench.engines.shapes import save_shape
from worker.engine.interface import EngineConfig


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_shape("tiny", tmp_path)
    return tmp_path


def test_the_steps_in_which_all_decode_are_told_apart(folder: Path) -> None:
    config = EngineConfig(
        folder=folder,
        kv_cache_bytes=2**24,
        max_sequences=3,
        has_random_weights=True,
        device="cpu",
        dtype="float32",
        num_threads=1,
    )
    bench = Bench(config)

    run = bench.run(3, 10)
    bench.close()

    steps = run.full_steps
    assert run.num_tokens == 30
    # The first token comes with the prefill, and the last step is not counted.
    assert (steps.num_steps, steps.num_tokens) == (8, 24)
    assert steps.num_read == 3 * sum(PROMPT_TOKENS + n for n in range(1, 9))
    assert 0 < steps.seconds < run.seconds


def test_transformers_gives_as_many_tokens_as_are_asked_for(folder: Path) -> None:
    peer = TransformersBatching(folder, "cpu", "float32", has_random_weights=True, largest=(3, 5))

    speed = peer.run([[number] * PROMPT_TOKENS for number in range(3)], 5)
    peer.close()

    assert speed > 0


@pytest.mark.nightly
def test_speeds_stand_beside_the_bound_and_beside_transformers(tmp_path: Path) -> None:
    results = tmp_path / "results.md"

    main(random_weights="tiny", rounds=1, num_tokens=16, results=results)

    text = results.read_text()
    for count in (1, 32):
        assert f"| {count} greedy: tokens/s |" in text
        assert f"| {count} greedy, decoding: % of the allowed |" in text
        assert f"| {count} greedy over transformers |" in text
