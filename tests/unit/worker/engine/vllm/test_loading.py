"""Arguments that vLLM's engine is made with."""

from pathlib import Path
from typing import Any

from worker.engine.interface import EngineConfig
from worker.engine.vllm import loading
from worker.engine.vllm.drawing import DrawingSetup

SETUP = DrawingSetup(
    key="key", folder="", eos_token_ids=[], grammar_limits={}, make_grammar_tokenizer=""
)


def arguments_with(**given: Any) -> dict[str, Any]:
    """Return the arguments on a CPU where the operator gives some."""
    config = EngineConfig(
        folder=Path("weights"), kv_cache_bytes=1, max_sequences=1, device="cpu", vllm_args=given
    )
    return loading._arguments(config, SETUP)


def test_blocks_on_cpus_are_short_unless_the_operator_says_otherwise() -> None:
    assert arguments_with()["block_size"] == 32
    assert arguments_with(block_size=128)["block_size"] == 128


def test_the_operator_cannot_change_what_must_hold() -> None:
    arguments = arguments_with(async_scheduling=True, trust_remote_code=True)

    assert (arguments["async_scheduling"], arguments["trust_remote_code"]) == (False, False)
