"""How each layer attends, found by calling the network with a probe in the place of attention.

transformers describes the mask of a layer by a function of positions. The probe evaluates that
function at positions far beyond those it computes, so it finds windows of any size with two tokens.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from worker.engine.interface import UnsupportedModelError
from worker.engine.transformers.model.preview.dry_run import activations_device
from worker.engine.transformers.text_config import text_config_name
from worker.engine.transformers.torch_forward.attention import (
    ALL_KEYS,
    ATTENTION_NAME,
    LayerShape,
    Visibility,
)

_NAME = "antiphon_probe"
_TOKENS = [[0, 1]]

_FULL_SIZE = 1 << 14
"""Keys at which a mask without a size is examined."""

MaskFunction = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Function of transformers that maps indices of batch, head, query and key to True where the query
attends to the key."""


@torch.inference_mode()
def probe_layers(model: Any) -> dict[int, LayerShape]:
    """Return how each layer attends that attends through transformers' interface.

    Raises `UnsupportedModelError` if one of them has a mask that is neither causal nor a window nor
    a chunk.
    """
    probe = _Probe()
    AttentionInterface.register(_NAME, probe.attend)
    AttentionMaskInterface.register(_NAME, probe.make_mask)
    name = text_config_name(model.config)
    model.set_attn_implementation({name: _NAME})
    try:
        device = activations_device(model)
        model(
            input_ids=torch.tensor(_TOKENS, device=device),
            use_cache=False,
            logits_to_keep=torch.tensor([1], device=device),
        )
    finally:
        model.set_attn_implementation({name: ATTENTION_NAME})
    return probe.layers


class _Probe:
    """Attention that computes nothing and records its calls."""

    def __init__(self) -> None:
        self.layers: dict[int, LayerShape] = {}
        self._keys: dict[int, Tensor] = {}
        """Keys of the layers that have their own."""
        self._masks: list[Visibility | None] = []
        """What each mask of the network shows; None for one of another kind."""

    def make_mask(
        self,
        *,
        q_length: int,
        kv_length: int,
        mask_function: MaskFunction,
        local_size: int | None = None,
        dtype: torch.dtype,
        device: torch.device,
        **_: Any,
    ) -> Tensor:
        """Return a mask filled with its own number."""
        self._masks.append(_find_visibility(mask_function, local_size))
        number = float(len(self._masks) - 1)
        return torch.full((1, 1, q_length, kv_length), number, dtype=dtype, device=device)

    def attend(  # noqa: PLR0913 - the signature is transformers'
        self,
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        *_: Any,
        softcap: float | None = None,
        s_aux: Tensor | None = None,
        **_options: Any,
    ) -> tuple[Tensor, None]:
        """Record the layer; return zeros."""
        self.layers[module.layer_idx] = LayerShape(
            num_heads=key.shape[1],
            key_size=key.shape[-1],
            value_size=value.shape[-1],
            visibility=self._read_mask(attention_mask),
            is_capped=softcap is not None,
            has_sinks=s_aux is not None,
            source=self._find_source(module.layer_idx, key),
        )
        batch, heads, tokens, _size = query.shape
        return query.new_zeros(batch, tokens, heads, value.shape[-1]), None

    def _find_source(self, layer: int, key: Tensor) -> int | None:
        """Return the layer of which a network passes the very same keys once more."""
        source = next((other for other, known in self._keys.items() if known is key), None)
        if source is None:
            self._keys[layer] = key
        return source

    def _read_mask(self, mask: Tensor | None) -> Visibility:
        numbers = [] if mask is None else torch.unique(mask).tolist()
        is_known = len(numbers) == 1 and numbers[0] in range(len(self._masks))
        found = self._masks[int(numbers[0])] if is_known else None
        if found is None:
            raise UnsupportedModelError("its attention has a mask of its own")
        return found


def _find_visibility(mask_function: MaskFunction, local_size: int | None) -> Visibility | None:
    """Return what a mask shows; transformers says the size of a window or chunk, but not which."""
    size = _FULL_SIZE if local_size is None else local_size
    queries = torch.tensor([0, 1, max(0, size - 1), size, size + 1, 3 * size + 1])
    keys = torch.arange(3 * size + 3)
    zero = torch.tensor(0)
    try:
        shown = mask_function(zero, zero, queries[:, None], keys[None])
    except (IndexError, RuntimeError):  # it depends on more than positions
        return None
    kinds = [ALL_KEYS] if local_size is None else [Visibility(local_size), Visibility(None, size)]
    return next((kind for kind in kinds if kind.mask(queries, keys).equal(shown)), None)
