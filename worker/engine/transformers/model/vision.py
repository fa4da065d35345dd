"""Image features for the language model, and the load-time check of them.

Works on tensors and transformers' vision models; image files are decoded elsewhere.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

import torch
from cachetools import LRUCache
from torch import Tensor

from worker.engine.image_features import EncodedImage, ImageRows
from worker.engine.interface import GenerationRequest, PromptImage, UnsupportedModelError
from worker.engine.sequence import Sequence as Generation
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.model.checks import is_correlated
from worker.engine.transformers.model.loader import text_config_name
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
        self._lock = Lock()
        self._cache: LRUCache[tuple[bytes, bytes], Tensor] = LRUCache(
            FEATURE_CACHE_BYTES, getsizeof=lambda features: features.nbytes
        )

    def encode(self, image: PromptImage, salt: bytes) -> EncodedImage:
        """Return an image's features, computed or from the cache.

        Cached features are shared among equal salts only. Safe to call from any thread. Raises
        `ValueError` if the image has not as many features as tokens.
        """
        with self._lock:
            features = self._cache.get((salt, image.digest))
            if features is None:
                features = self._compute(image)
                with suppress(ValueError):  # larger than the cache
                    self._cache[salt, image.digest] = features
        if len(features) != len(image.positions):
            raise ValueError(f"{len(image.positions)} tokens for {len(features)} image features")
        return EncodedImage(image.digest, image.positions, features)

    @torch.inference_mode()
    def _compute(self, image: PromptImage) -> Tensor:
        output = self._model.get_image_features(
            **_move_to_device(image, self._model), return_dict=True
        )
        pooled = output.pooler_output
        rows = torch.cat([features.flatten(0, -2) for features in pooled])
        return rows.to(self._model.device, self._model.dtype)


def place_images(embeddings: Tensor, images: Sequence[ImageRows]) -> None:
    """Overwrite the embeddings of image tokens, in embeddings [tokens, hidden], with features."""
    for image in images:
        places = torch.tensor(image.places, device=embeddings.device)
        embeddings.index_copy_(0, places, image.features)


def check_images(
    model: Any,
    forward: Callable[[list[Chunk]], Tensor],
    pool: BlockPool,
    sample: GenerationRequest,
    images: Sequence[EncodedImage],
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
    middle = images[0].positions[len(images[0].positions) // 2]
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
