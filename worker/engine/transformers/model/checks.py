"""Whether a model gives right results when its batch is packed and its cache is paged.

Asks the loaded model itself, by running it; what it cannot see in a run, it reads in the config.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from worker.engine.interface import GenerationRequest, UnsupportedModelError
from worker.engine.params import SamplingParams
from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.torch_forward.attention import AttentionOptions, LayerShape

# Their angles depend on the longest sequence of the batch, so neighbours would change results.
_BATCH_DEPENDENT_ROPE = frozenset({"dynamic", "longrope"})

# Agreement of logits; short types round, and rounding may send a token to another expert.
_MIN_CORRELATION = {torch.float32: 0.9999}
_MIN_CORRELATION_SHORT_TYPES = 0.9

CHECK_LENGTHS = (7, 4)
"""Tokens of the prompts that a model is checked with; any cache of two blocks holds them."""
_NUM_LEFT = (3, 1, 0)
"""Tokens that each chunk of a checked prompt leaves: a chunk with a past, then a single token."""


class PlainAttention:
    """Attends over the given tokens alone, and remembers in which layers and shapes."""

    def __init__(self) -> None:
        self.layers: dict[int, LayerShape] = {}

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions
    ) -> Tensor:
        """Attend causally, without a cache; raises `UnsupportedModelError` for what torch's forward
        pass can't do."""
        if options.window is not None:
            raise UnsupportedModelError("its attention uses sliding_window")
        if options.sinks is not None:
            raise UnsupportedModelError("its attention uses s_aux")
        self.layers[layer] = LayerShape(key.shape[0], key.shape[-1], value.shape[-1])
        output = scaled_dot_product_attention(
            query[None],
            key[None],
            value[None],
            is_causal=True,
            scale=options.scale,
            enable_gqa=True,
        )
        return output[0].transpose(0, 1)


def layer_shapes(model: Any) -> list[LayerShape]:
    """Return what each layer keeps per token; raises `UnsupportedModelError` for a layer that
    does not attend through transformers' attention interface, or not to all that came before."""
    config = model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") in _BATCH_DEPENDENT_ROPE:
        raise UnsupportedModelError(f"it has rotary positions of type {rope['rope_type']}")
    others = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    if others:
        raise UnsupportedModelError(f"it has layers of type {', '.join(sorted(others))}")
    if "logits_to_keep" not in inspect.signature(model.forward).parameters:
        raise UnsupportedModelError("it cannot limit which logits it computes")
    attention = PlainAttention()
    try:
        _logits_alone(model, [0, 1], attention)
    except TypeError as error:
        raise UnsupportedModelError(f"it takes no further arguments: {error}") from error
    if sorted(attention.layers) != list(range(config.num_hidden_layers)):
        raise UnsupportedModelError(
            f"{len(attention.layers)} of its {config.num_hidden_layers} layers attend through "
            "transformers' attention interface; all must"
        )
    return [attention.layers[index] for index in range(len(attention.layers))]


def check_packing(
    model: Any,
    forward: Callable[[list[Chunk]], Tensor],
    pool: BlockPool,
    lengths: tuple[int, ...],
) -> None:
    """Raise `UnsupportedModelError` unless packed, chunked prompts give what each gives alone.

    Finds models with state beside attention, or with positions of their own counting.
    """
    vocab_size = model.config.get_text_config().vocab_size
    sequences = [_sequence(length, vocab_size) for length in lengths]
    for sequence in sequences:
        if not pool.grow(sequence, len(sequence.tokens)):
            raise ValueError(f"kv_cache_bytes has no room for prompts of {lengths} tokens")
    for left in _NUM_LEFT:
        batch = [Chunk(each, each.num_pending - left) for each in sequences]
        packed = forward(batch)
        for chunk in batch:
            chunk.sequence.num_computed += chunk.num_tokens
    for sequence, logits in zip(sequences, packed, strict=True):
        alone = _logits_alone(model, sequence.tokens, PlainAttention())
        if not is_alike(logits, alone, model.dtype):
            raise UnsupportedModelError("its results depend on what else is in the batch")


def is_alike(logits: Tensor, others: Tensor, dtype: torch.dtype) -> bool:
    """Whether both are what one network makes of one prompt, computed in `dtype`."""
    found = torch.corrcoef(torch.stack([logits, others]))[0, 1]
    return bool(found >= least_correlation(dtype))


def least_correlation(dtype: torch.dtype) -> float:
    """Of logits that one network computes in `dtype` in two ways."""
    return _MIN_CORRELATION.get(dtype, _MIN_CORRELATION_SHORT_TYPES)


def _sequence(length: int, vocab_size: int) -> Sequence:
    prompt = [(length * 31 + index * 17) % vocab_size for index in range(length)]
    params = SamplingParams(max_tokens=1)
    return Sequence(GenerationRequest(sequence_id=str(length), prompt=prompt, params=params))


@torch.inference_mode()
def _logits_alone(model: Any, tokens: list[int], attention: PlainAttention) -> Tensor:
    output = model(
        input_ids=torch.tensor([tokens], device=model.device),
        position_ids=torch.arange(len(tokens), device=model.device)[None],
        use_cache=False,
        logits_to_keep=1,
        paged=attention,
    )
    logits: Tensor = output.logits[0, -1]
    return logits.float()
