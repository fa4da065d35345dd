from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    Qwen3Config,
)

from tests.unit.engine.conftest import EngineFactory
from tests.unit.engine.harness import greedy

SIZES: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
GPT2 = GPT2Config(vocab_size=128, n_embd=32, n_layer=2, n_head=4, initializer_range=0.2)


def saved(config: Any, folder: Path) -> Any:
    torch.manual_seed(1)
    auto: Any = AutoModelForCausalLM
    model = auto.from_config(config).eval()
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("config", [Qwen3Config(**SIZES, head_dim=16), GPT2], ids=["qwen3", "gpt2"])
def test_other_architectures_also_give_what_generate_gives(
    config: Any, tmp_path: Path, make_engine: EngineFactory
) -> None:
    model = saved(config, tmp_path)
    model.generation_config.eos_token_id = None
    prompts = [list(range(1, 20)), [5, 4, 3]]

    outputs = make_engine(folder=tmp_path).run(*(greedy(str(i), p) for i, p in enumerate(prompts)))

    for prompt, output in zip(prompts, outputs, strict=True):
        ids = torch.tensor([prompt])
        expected = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=12,
            do_sample=False,
            pad_token_id=0,
        )
        assert output == expected[0, len(prompt) :].tolist()
