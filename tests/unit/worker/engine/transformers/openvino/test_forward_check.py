from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, MistralConfig
from transformers.models.llama import modeling_llama

from tests.unit.worker.engine.tiny_networks import SIZES, saved
from tests.unit.worker.engine.transformers.openvino.conftest import (
    EXACT,
    ReadNetwork,
    compiled,
    logits_of,
    with_weight,
)
from worker.engine.interface import EngineConfig, UnsupportedModelError
from worker.engine.transformers.model.forward_check import (
    check_length,
    check_prompts,
    computed_logits,
    deviation,
)
from worker.engine.transformers.model_runner import ModelRunner
from worker.engine.transformers.openvino.forward import GraphError, _compile_and_check


def scores(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (6, 50)).astype(np.float32)


def test_equal_logits_do_not_deviate() -> None:
    found = deviation(scores(), scores())

    assert found.divergence == 0
    assert found.agreement == 1
    assert found.correlation == pytest.approx(1)


def test_what_is_added_to_all_logits_of_a_position_changes_no_probability() -> None:
    found = deviation(scores(), scores() + np.arange(6, dtype=np.float32)[:, None])

    assert found.divergence == pytest.approx(0, abs=1e-6)
    assert found.correlation == pytest.approx(1)


def test_divergence_is_that_of_kullback_and_leibler() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25]]), np.array([[0.25, 0.25, 0.5]])

    found = deviation(*(np.log(row).astype(np.float32) for row in probabilities))

    assert found.divergence == pytest.approx(0.25 * np.log(2))
    assert found.agreement == 0


def test_the_position_that_is_worst_decides_the_correlation() -> None:
    computed = scores()
    computed[3] = -computed[3]

    assert deviation(scores(), computed).correlation == pytest.approx(-1)


def test_prompts_are_ragged_and_as_long_as_the_network_allows() -> None:
    sizes = [[len(prompt) for prompt in batch] for batch in check_prompts(512, 64)]

    assert sizes == [[5], [64], [64, 35, 17]]
    assert max(max(prompt) for batch in check_prompts(7, None) for prompt in batch) < 7


def test_a_prompt_is_longer_than_any_border_that_the_configuration_names() -> None:
    windows = MistralConfig(sliding_window=512)

    assert check_length(LlamaConfig()) == 200
    assert check_length(windows) > 512
    assert check_length(MistralConfig(sliding_window=4096)) == 200
    assert len(check_prompts(512, None, check_length(windows))[1][0]) == check_length(windows)


@pytest.mark.parametrize("forward", ["openvino", "torch"])
@pytest.mark.parametrize("border", [100, 300])
def test_a_network_that_masks_more_than_it_says_is_refused(
    border: int, forward: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transformers' own attention then forgets all but the last tokens of long prompts."""
    attend = modeling_llama.eager_attention_forward

    def forgetful(*packed: Any, **options: Any) -> Any:
        module, query, key, value, mask = packed
        if key.shape[2] > border:
            mask = mask.clone()
            mask[..., -1:, : border // 2] = torch.finfo(mask.dtype).min
        return attend(module, query, key, value, mask, **options)

    window: dict[str, Any] = {"max_position_embeddings": 512, "keep_window_size": border}
    saved(LlamaConfig(**SIZES, **window), tmp_path)
    monkeypatch.setattr(modeling_llama, "eager_attention_forward", forgetful)

    with pytest.raises(UnsupportedModelError, match="differ from those of transformers"):
        ModelRunner(
            EngineConfig(
                folder=tmp_path,
                kv_cache_bytes=1 << 22,
                max_sequences=1,
                dtype="float32",
                forward=forward,
            )
        )


def test_a_graph_gives_what_transformers_gives(read: ReadNetwork) -> None:
    network = read()

    found = deviation(network.reference, logits_of(network))

    assert found.correlation > 0.999999
    assert found.divergence < 1e-6
    assert found.agreement == 1


def test_a_second_check_gives_the_same_whatever_the_cache_has_held(read: ReadNetwork) -> None:
    network = read()
    graph = compiled(network)

    first, second = (
        computed_logits(
            graph, graph.block_size, check_prompts(network.vocab_size, network.max_positions)
        )
        for _ in range(2)
    )

    assert np.array_equal(first, second)


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("value", [1000.0, float("nan"), float("inf")])
def test_a_graph_with_one_wrong_weight_is_refused(read: ReadNetwork, value: float) -> None:
    with pytest.raises(GraphError, match="differ from those of transformers"):
        _compile_and_check(with_weight(read(), value), EXACT, "full")
