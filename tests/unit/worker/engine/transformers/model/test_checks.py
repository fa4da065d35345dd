from pathlib import Path
from typing import Any

import pytest
from transformers import (
    BartConfig,
    BloomConfig,
    DogeConfig,
    FalconConfig,
    ZayaConfig,
)

from tests.unit.worker.engine.tiny_networks import SIZES, saved
from worker.engine.interface import EngineConfig, UnsupportedModelError
from worker.engine.transformers.model_runner import ModelRunner

BART: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
}

REFUSED = {
    "a mask of its own": (DogeConfig(**SIZES), "a mask of its own"),
    "mixers called in a way of their own": (ZayaConfig(**SIZES), "by position"),
    "own attention": (
        BloomConfig(vocab_size=128, hidden_size=32, n_layer=2, n_head=4),
        "0 of its 2 layers",
    ),
    "fixed choice of attentions": (
        FalconConfig(vocab_size=128, hidden_size=32, num_hidden_layers=2, num_attention_heads=4),
        "antiphon_paged",
    ),
    "positions of its own counting": (
        BartConfig(vocab_size=128, **BART, is_decoder=True, forced_eos_token_id=None),
        "depend on what else",
    ),
}


@pytest.mark.parametrize(("config", "reason"), REFUSED.values(), ids=list(REFUSED))
def test_a_model_that_would_go_wrong_is_refused_with_the_reason(
    config: Any, reason: str, tmp_path: Path
) -> None:
    saved(config, tmp_path)

    with pytest.raises(UnsupportedModelError, match=reason):
        ModelRunner(config_of(tmp_path, 1 << 20, "torch"))


def test_a_cache_of_less_than_two_blocks_is_refused(folder: Path, forward: str) -> None:
    with pytest.raises(ValueError, match="kv_cache_bytes"):
        ModelRunner(config_of(folder, 100, forward))


def config_of(folder: Path, kv_cache_bytes: int, forward: Any) -> EngineConfig:
    return EngineConfig(
        folder=folder, kv_cache_bytes=kv_cache_bytes, max_sequences=1, forward=forward
    )
