"""Images: what the language model sees of them, and whether it sees them right.

Knows tensors and transformers' vision models; nothing of how an image's file became arrays.
"""

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from worker.engine.image_features import EncodedImage, ImageRows
from worker.engine.interface import GenerationRequest, PromptImage, UnsupportedModelError
from worker.engine.sequence import Sequence as Generation
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.model.checks import is_alike
from worker.engine.transformers.model.loader import text_config_name
from worker.engine.transformers.torch_forward.attention import ATTENTION_NAME

REMEMBERED_BYTES = 128 << 20
"""Features that are kept for the next turn of a conversation, or the next attempt."""

# By which a network is told which tokens stand for images, where it asks.
_TOKEN_TYPE_NAMES = ("token_type_ids", "mm_token_type_ids")


class ImageEncoder:
    """Computes features, one image at a time, and remembers the latest of them."""

    def __init__(self, model: Any) -> None:
        if not hasattr(model, "get_image_features"):
            raise UnsupportedModelError("it has no vision network")
        self._model = model
        self._lock = Lock()
        self._remembered: OrderedDict[tuple[bytes, bytes], Tensor] = OrderedDict()
        self._num_bytes = 0

    def encode(self, image: PromptImage, salt: bytes) -> EncodedImage:
        """Compute or remember; features are shared among equal salts only.

        Safe from any thread. Raises `ValueError` if the features are not as many as the tokens.
        """
        with self._lock:
            features = self._remembered.pop((salt, image.digest), None)
            if features is None:
                features = self._compute(image)
            self._remember((salt, image.digest), features)
        if len(features) != len(image.positions):
            raise ValueError(f"{len(image.positions)} tokens for {len(features)} image features")
        return EncodedImage(image.digest, image.positions, features)

    @torch.inference_mode()
    def _compute(self, image: PromptImage) -> Tensor:
        output = self._model.get_image_features(**_on_device(image, self._model), return_dict=True)
        pooled = output.pooler_output
        rows = torch.cat([each.flatten(0, -2) for each in pooled])
        return rows.to(self._model.device, self._model.dtype)

    def _remember(self, key: tuple[bytes, bytes], features: Tensor) -> None:
        self._remembered[key] = features
        self._num_bytes = sum(each.nbytes for each in self._remembered.values())
        while self._num_bytes > REMEMBERED_BYTES and len(self._remembered) > 1:
            _, oldest = self._remembered.popitem(last=False)
            self._num_bytes -= oldest.nbytes


def place_images(embeddings: Tensor, images: Sequence[ImageRows]) -> None:
    """Put the features of images in the place of their tokens' embeddings [tokens, hidden]."""
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
    """Raise `UnsupportedModelError` unless a prompt with an image, in chunks, gives what the whole
    network makes of it by itself; `dtype` is what `forward` computes in, if not the network's.

    Finds images with positions of their own, that see both ways, or that reach deeper layers.
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
    with _own_attention(model):
        alone = _logits_alone(model, sample)
    if not is_alike(logits[0], alone, dtype or model.dtype):
        raise UnsupportedModelError("it sees images in a way of its own")


@contextmanager
def _own_attention(model: Any) -> Iterator[None]:
    """Let the network attend as transformers does."""
    name = text_config_name(model.config)
    model.set_attn_implementation({name: "sdpa"})
    try:
        yield
    finally:
        model.set_attn_implementation({name: ATTENTION_NAME})


@torch.inference_mode()
def _logits_alone(model: Any, sample: GenerationRequest) -> Tensor:
    types = torch.zeros(1, len(sample.prompt), dtype=torch.long, device=model.device)
    inputs: dict[str, Any] = {}
    for image in sample.images:
        types[0, list(image.positions)] = 1
        inputs |= _on_device(image, model)
    asked = inspect.signature(model.forward).parameters
    inputs |= {name: types for name in _TOKEN_TYPE_NAMES if name in asked}
    output = model(
        input_ids=torch.tensor([list(sample.prompt)], device=model.device),
        use_cache=False,
        logits_to_keep=1,
        **inputs,
    )
    logits: Tensor = output.logits[0, -1]
    return logits.float()


def _on_device(image: PromptImage, model: Any) -> dict[str, Tensor]:
    tensors = {name: torch.as_tensor(array) for name, array in image.inputs.items()}
    return {
        name: each.to(model.device, model.dtype if each.is_floating_point() else None)
        for name, each in tensors.items()
    }
