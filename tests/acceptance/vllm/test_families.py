"""Families and formats that vLLM runs answer through the API. `make nightly`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.server import ROOT, AntiphonServer
from tests.acceptance.vllm.networks import (
    QUANTIZED,
    log_probabilities,
    prompt_of,
    save_family,
    save_quantized_llama,
    token_bytes,
)
from tests.unit.worker.engine.tiny_networks import generated

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not (ROOT / ".venv-vllm" / ".installed").exists(), reason="vLLM is not installed"
    ),
]

NUM_TOKENS = 24
TIMEOUT_S = 240.0
QUESTION = "Which way to the lighthouse?"
_ALTERNATING = {"layer_types": ["sliding_attention", "full_attention"]}
_HYBRID = {
    "layer_types": ["linear_attention", "full_attention"],
    # As published: vLLM's kernel for CPUs fails with heads of 16.
    **{"linear_key_head_dim": 128, "linear_value_head_dim": 128},
}
EXACT: dict[str, dict[str, Any]] = {"gemma3_text": _ALTERNATING, "gpt_oss": _ALTERNATING}
"""Fields of the configurations of families that vLLM computes in float32."""
_ROUNDING = 0.2
"""Largest difference of a log probability in bfloat16 to that in float32, in nats."""

MakeServer = Callable[..., AntiphonServer]


def ask(server: AntiphonServer) -> list[dict[str, Any]]:
    """Return the tokens of a greedy answer, with the log probabilities of the likeliest."""
    client = server.client().with_options(timeout=TIMEOUT_S)
    answer = client.responses.create(
        input=QUESTION,
        max_output_tokens=NUM_TOKENS,
        temperature=0,
        top_logprobs=5,
        include=["message.output_text.logprobs"],
        extra_body={"ignore_eos": True},
    ).to_dict()
    output: Any = answer["output"]
    entries: list[dict[str, Any]] = output[0]["content"][0]["logprobs"]
    assert answer["status"] == "incomplete"
    assert len(entries) == NUM_TOKENS
    return entries


def start(make_server: MakeServer, folder: Path, dtype: str) -> AntiphonServer:
    return make_server(engine="vllm", model=str(folder), dtype=dtype, kv_cache_gib="0.05")


@pytest.mark.parametrize("family", EXACT)
def test_a_family_answers_as_transformers_generates(
    make_server: MakeServer, tmp_path: Path, family: str
) -> None:
    network = save_family(family, EXACT[family], tmp_path / "network")
    server = start(make_server, tmp_path / "network", "float32")

    found = [entry["bytes"] for entry in ask(server)]

    texts = token_bytes(tmp_path / "network")
    expected = generated(network, prompt_of(QUESTION), NUM_TOKENS)
    assert found == [texts[token_id] for token_id in expected]


def test_qwen3_next_answers_and_answers_again_alike(
    make_server: MakeServer, tmp_path: Path
) -> None:
    """In bfloat16, in which alone vLLM has the kernels for CPUs."""
    network = save_family("qwen3_next", _HYBRID, tmp_path / "network")
    server = start(make_server, tmp_path / "network", "bfloat16")

    first = ask(server)

    check_first(network, token_bytes(tmp_path / "network"), first)
    assert ask(server) == first


@pytest.mark.parametrize("kind", QUANTIZED)
def test_quantised_weights_answer_as_those_that_they_stand_for(
    make_server: MakeServer, tmp_path: Path, kind: str
) -> None:
    network = save_quantized_llama(kind, tmp_path / "network")
    server = start(make_server, tmp_path / "network", "bfloat16")

    check_first(network, token_bytes(tmp_path / "network"), ask(server))


def check_first(network: Any, texts: list[list[int]], entries: list[dict[str, Any]]) -> None:
    """Compare the likeliest first tokens with those of the network in float32."""
    expected = log_probabilities(network, prompt_of(QUESTION))
    top = entries[0]["top_logprobs"]
    assert len(top) == 5
    for entry in top:
        known = float(expected[texts.index(entry["bytes"])])
        assert abs(entry["logprob"] - known) < _ROUNDING, (entry, known)
