"""Every architecture gets from the engine what `model.generate` gives a prompt alone.

Tiny random networks. Each runs once through all that could go wrong: ragged prompts, some of them
late, computed in chunks, short of blocks so that sequences are preempted; then a second turn over
the blocks of the first, and a resume at every position.
"""

from pathlib import Path
from typing import Any

import pytest
from transformers import (
    DeepseekV3Config,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PhiConfig,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
)

from tests.unit.engine.conftest import EngineFactory
from tests.unit.engine.harness import Harness, greedy
from tests.unit.engine.tiny_networks import SIZES, generated, saved
from worker.engine import Delta
from worker.engine.forward import BLOCK_SIZE

NUM_TOKENS = 24
NUM_BLOCKS = 8

_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_LATENT: dict[str, Any] = {
    **{"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8},
    **{"v_head_dim": 16, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1},
    **{"topk_group": 1, "moe_intermediate_size": 32, "first_k_dense_replace": 1},
}
CONFIGS: dict[str, Any] = {
    "llama": LlamaConfig(**SIZES),
    "mistral, full attention": MistralConfig(**SIZES, sliding_window=None),
    "qwen2": Qwen2Config(**SIZES),
    "qwen3": Qwen3Config(**SIZES, head_dim=16),
    "qwen3, experts": Qwen3MoeConfig(**SIZES, head_dim=16, **_EXPERTS),
    "gemma": GemmaConfig(**SIZES, head_dim=16),
    "phi": PhiConfig(**SIZES),
    "phi3": Phi3Config(**SIZES),
    "gpt2": GPT2Config(vocab_size=128, n_embd=32, n_layer=2, n_head=4, initializer_range=0.2),
    "deepseek v3": DeepseekV3Config(**{**SIZES, "num_key_value_heads": 4}, **_LATENT),
}
PROMPTS = [[(7 * n + 3 * size) % 120 for n in range(size)] for size in (40, 1, 18, 16)]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
def test_an_architecture_gets_what_generate_gives(
    config: Any, tmp_path: Path, make_engine: EngineFactory
) -> None:
    model = saved(config, tmp_path)
    expected = [generated(model, prompt, NUM_TOKENS) for prompt in PROMPTS]
    block_bytes = BLOCK_SIZE * _token_bytes(make_engine(folder=tmp_path))
    harness = make_engine(
        folder=tmp_path, kv_cache_bytes=NUM_BLOCKS * block_bytes, max_batch_tokens=24
    )

    assert _with_late_ones(harness) == expected
    follow_up = [*PROMPTS[0], *expected[0], 5, 6, 7]
    assert harness.run(greedy("second", follow_up, NUM_TOKENS)) == [
        generated(model, follow_up, NUM_TOKENS)
    ]
    assert harness.deltas["second"][0].num_cached_tokens >= BLOCK_SIZE
    resumed = [
        greedy(f"from {n}", PROMPTS[2], NUM_TOKENS, generated=expected[2][:n])
        for n in range(NUM_TOKENS)
    ]
    assert harness.run(*resumed) == [expected[2][n:] for n in range(NUM_TOKENS)]


def _with_late_ones(harness: Harness) -> list[list[int]]:
    """Submit two prompts at once and one more every third step."""
    requests = [greedy(str(i), prompt, NUM_TOKENS) for i, prompt in enumerate(PROMPTS)]
    late = requests[2:]

    def join(_: list[Delta]) -> None:
        if late and len(harness.steps) % 3 == 0:
            harness.engine.submit(late.pop(0))

    harness.on_step_hook = join
    for each in requests[:2]:
        harness.engine.submit(each)
    harness.wait(*(each.sequence_id for each in requests))
    harness.on_step_hook = lambda deltas: None
    return [harness.tokens(each.sequence_id) for each in requests]


def _token_bytes(harness: Harness) -> int:
    """What one token takes in the cache of this network."""
    pool = harness.engine._runner._pool  # type: ignore[attr-defined]
    tensors = [*pool.keys, *pool.values]
    return sum(each[:, 0].numel() * each.element_size() for each in tensors)
