"""Fixtures: a tiny random network on disk, the same network as an oracle, and engines.

The engines stop after the test.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import flask
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from models.grammars.isolation.bounds import GRAMMAR_LIMITS
from models.grammars.tokenizer import grammar_tokenizer
from tests.tiny_llama import tiny_llama
from tests.unit.worker.engine.harness import Harness
from worker.engine.interface import Engine, EngineConfig, StepListener
from worker.engine.transformers.engine import TransformersEngine

# Threads that wait for each other on busy cores cost more time than they save.
torch.set_num_threads(1)

VOCAB_SIZE = 512
EOS = 256

# Two layers with two key heads of size 32 in float32, for keys and for values.
TOKEN_BYTES = 2 * 2 * 32 * 4 * 2
"""Bytes of one token in the KV cache. Blocks have 16 tokens in torch and 32 in OpenVINO."""

EngineFactory = Callable[..., Harness]
Oracle = Callable[[Sequence[int], int], list[int]]


def byte_tokenizer() -> Tokenizer:
    """Return a byte-level tokenizer without merges; `EOS` is its only special token."""
    vocab = {char: index for index, char in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<end>", special=True)])
    return tokenizer


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a random Llama; return its folder."""
    torch.manual_seed(0)
    # The smallest heads that vLLM computes on CPUs.
    config = tiny_llama(vocab_size=VOCAB_SIZE, eos_token_id=EOS, head_dim=32)
    path = tmp_path_factory.mktemp("tiny-llama")
    LlamaForCausalLM(config).save_pretrained(path)
    wrap: Any = PreTrainedTokenizerFast
    wrap(tokenizer_object=byte_tokenizer(), eos_token="<end>").save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def network(folder: Path) -> Any:
    """Return the same network as transformers loads it."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


@pytest.fixture(scope="session")
def oracle(network: Any) -> Oracle:
    """Return a function that continues a prompt greedily, ignoring EOS, with `model.generate`."""
    model = network
    model.generation_config.eos_token_id = None

    def continue_(prompt: Sequence[int], num_tokens: int) -> list[int]:
        ids = torch.tensor([list(prompt)])
        output = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=num_tokens,
            do_sample=False,
            pad_token_id=0,
        )
        return list(output[0, len(prompt) :].tolist())

    return continue_


@pytest.fixture(scope="session")
def prompts() -> list[list[int]]:
    """Return prompts of various lengths: below, equal to and above those of blocks and chunks."""
    numbers = random.Random(0)
    return [[numbers.randrange(EOS) for _ in range(size)] for size in (90, 1, 33, 16, 50)]


@pytest.fixture(params=["openvino", "torch"])
def forward(request: pytest.FixtureRequest) -> str:
    """Return the name of the forward pass."""
    return str(request.param)


def load_engine(forward: str, config: EngineConfig, on_step: StepListener) -> Engine:
    """Load a network into our own engine, or into that over vLLM."""
    if forward != "vllm":
        return TransformersEngine(config, on_step)
    from worker.engine.vllm.engine import VllmEngine

    # When vLLM loads a model, it looks at all objects of all modules, also at Flask's proxies of
    # the current request.
    with flask.Flask("none").test_request_context():
        return VllmEngine(config, on_step)


@pytest.fixture
def make_engine(folder: Path, forward: str) -> Iterator[EngineFactory]:
    """Start engines on the tiny network; keywords override the configuration."""
    harnesses: list[Harness] = []

    def make(**overrides: Any) -> Harness:
        settings: dict[str, Any] = {"folder": folder, "max_sequences": 32}
        settings |= {"kv_cache_bytes": 4096 * TOKEN_BYTES}
        settings |= {"grammar_limits": GRAMMAR_LIMITS, "dtype": "float32", "num_threads": 1}
        settings |= {"make_grammar_tokenizer": grammar_tokenizer}
        if forward == "vllm":
            settings |= {"vllm_args": {"block_size": 32}, **overrides}
        else:
            settings |= {"forward": forward, **overrides}
        # Beside the weights, so that tests on the same weights convert them once.
        config = EngineConfig(**{"graph_folder": settings["folder"] / "openvino", **settings})
        harness = Harness()
        harness.engine = load_engine(forward, config, harness.on_step)
        harness.engine.start()
        harnesses.append(harness)
        return harness

    yield make
    for harness in harnesses:
        harness.engine.stop()


@pytest.fixture
def harness(make_engine: EngineFactory) -> Harness:
    return make_engine()
