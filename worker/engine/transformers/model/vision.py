"""Image features for the language model, and the load-time check of them.

Works on tensors and transformers' vision models; image files are decoded elsewhere.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from cachetools import LRUCache
from torch import Tensor

from worker.engine.image_features import EncodedImage, PromptImages
from worker.engine.interface import GenerationRequest, PromptImage, UnsupportedModelError
from worker.engine.sequence import Sequence as Generation
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.model.checks import is_correlated
from worker.engine.transformers.model.image_positions import grid_positions
from worker.engine.transformers.model.layer_types import two_way_layers
from worker.engine.transformers.text_config import text_config_name
from worker.engine.transformers.torch_forward.attention import ATTENTION_NAME

FEATURE_CACHE_BYTES = 128 << 20
"""Bytes of features cached for the next turn of a conversation or the next attempt."""

# Arguments that mark image tokens; a network takes one of them or none.
_TOKEN_TYPE_NAMES = ("token_type_ids", "mm_token_type_ids")


class ImageEncoder:
    """Encoder of images to features, one image at a time, with a cache of the latest ones."""

    def __init__(self, model: Any) -> None:
        if not hasattr(model, "get_image_features"):
            raise UnsupportedModelError("it has no vision network")
        self._model = model
        self._are_whole = bool(two_way_layers(model))
        self._lock = Lock()
        self._cache: LRUCache[tuple[bytes, bytes], _Features] = LRUCache(
            FEATURE_CACHE_BYTES, getsizeof=lambda features: features.nbytes
        )

    def encode(
        self, prompt: Sequence[int], images: Sequence[PromptImage], salt: bytes
    ) -> PromptImages:
        """Return the images of a prompt, computed or from the cache.

        Cached features are shared among equal salts only. Safe to call from any thread. Raises
        `ValueError` if an image has not as many features as tokens.
        """
        encoded = [self._encode(image, prompt, salt) for image in images]
        return PromptImages(encoded, grid_positions(self._model, prompt, images))

    def _encode(self, image: PromptImage, prompt: Sequence[int], salt: bytes) -> EncodedImage:
        with self._lock:
            features = self._cache.get((salt, image.digest))
            if features is None:
                features = self._compute(image)
                with suppress(ValueError):  # larger than the cache
                    self._cache[salt, image.digest] = features
        rows = features.rows_of([prompt[position] for position in image.positions])
        return EncodedImage(image.digest, image.positions, rows, features.deep, self._are_whole)

    @torch.inference_mode()
    def _compute(self, image: PromptImage) -> "_Features":
        model = self._model
        output = model.get_image_features(**_move_to_device(image, model), return_dict=True)
        deep = getattr(output, "deepstack_features", None)
        delimiters = getattr(output, "visual_indicator_features", ())
        ids = getattr(model.base_model, "visual_indicator_token_ids", ())
        return _Features(
            rows=_join(output.pooler_output).to(model.device, model.dtype),
            deep=torch.stack([_join(level) for level in deep]).to(model.dtype) if deep else None,
            delimiters=dict(zip(ids, delimiters, strict=True)),
        )


@dataclass(frozen=True, slots=True)
class _Features:
    """Output of the vision part for one image."""

    rows: Tensor
    """[features, hidden]."""
    deep: Tensor | None
    """[levels, features, hidden]; see `EncodedImage.deep_features`."""
    delimiters: dict[int, Tensor]
    """Features [hidden] of the tokens around and within images, by token id (Ovis 2)."""

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + (0 if self.deep is None else self.deep.nbytes)

    def rows_of(self, token_ids: Sequence[int]) -> Tensor:
        """Return the features of an image's tokens; raise `ValueError` for too many or too few."""
        num_tokens = sum(token_id not in self.delimiters for token_id in token_ids)
        if num_tokens != len(self.rows):
            raise ValueError(f"{num_tokens} tokens for {len(self.rows)} image features")
        if num_tokens == len(token_ids):
            return self.rows
        rows = iter(self.rows)
        found = [
            self.delimiters[token_id] if token_id in self.delimiters else next(rows)
            for token_id in token_ids
        ]
        return torch.stack([row.to(self.rows.dtype) for row in found])


def _join(features: Tensor | Sequence[Tensor]) -> Tensor:
    """Return the features of all parts of an image as [features, hidden]."""
    return torch.cat([part.flatten(0, -2) for part in features])


def check_images(
    model: Any,
    forward: Callable[[list[Chunk]], Tensor],
    pool: BlockPool,
    sample: GenerationRequest,
    images: PromptImages,
    dtype: torch.dtype | None = None,
) -> None:
    """Raise `UnsupportedModelError` unless `forward` gives correct logits for a prompt with images.

    Compares the prompt in chunks with the whole network on the whole prompt. `dtype` is the type
    that `forward` computes in; None is the network's. Detects networks whose images have special
    positions, attend in both directions, or feed into deeper layers. Raises `ValueError` if the
    cache has no room for the prompt.
    """
    sequence = Generation(sample, images=images)
    if not pool.grow(sequence, len(sequence.tokens)):
        raise ValueError("kv_cache_bytes holds fewer tokens than one image has")
    first = images.images[0]
    middle = first.positions[0 if first.is_whole else len(first.positions) // 2]
    logits = torch.empty(0)
    for end in (middle, len(sequence.tokens)):
        chunk = Chunk(sequence, end - sequence.num_computed)
        logits = forward([chunk])
        sequence.num_computed = end
    with _use_default_attention(model):
        alone = _compute_logits_alone(model, sample)
    if not is_correlated(logits[0], alone, dtype or model.dtype):
        raise UnsupportedModelError("it sees images in a way of its own")


@contextmanager
def _use_default_attention(model: Any) -> Iterator[None]:
    """Make the network use transformers' attention within the context."""
    name = text_config_name(model.config)
    model.set_attn_implementation({name: "sdpa"})
    try:
        yield
    finally:
        model.set_attn_implementation({name: ATTENTION_NAME})


@torch.inference_mode()
def _compute_logits_alone(model: Any, sample: GenerationRequest) -> Tensor:
    types = torch.zeros(1, len(sample.prompt), dtype=torch.long, device=model.device)
    inputs: dict[str, Any] = {}
    for image in sample.images:
        types[0, list(image.positions)] = 1
        inputs |= _move_to_device(image, model)
    parameters = inspect.signature(model.forward).parameters
    inputs |= {name: types for name in _TOKEN_TYPE_NAMES if name in parameters}
    output = model(
        input_ids=torch.tensor([list(sample.prompt)], device=model.device),
        use_cache=False,
        logits_to_keep=1,
        **inputs,
    )
    logits: Tensor = output.logits[0, -1]
    return logits.float()


def _move_to_device(image: PromptImage, model: Any) -> dict[str, Tensor]:
    tensors = {name: torch.as_tensor(array) for name, array in image.inputs.items()}
    return {
        name: tensor.to(model.device, model.dtype if tensor.is_floating_point() else None)
        for name, tensor in tensors.items()
    }
