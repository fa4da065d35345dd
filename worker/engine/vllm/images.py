"""Images of prompts as vLLM's multimodal inputs, each prepared alone, with a cache of the latest.

What vLLM expands an image to is compared with the prompt, whose tokens the API has counted.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import torch
from cachetools import LRUCache
from torch import Tensor
from vllm.inputs import MultiModalInput, mm_input
from vllm.multimodal.inputs import MultiModalKwargsItems, PlaceholderRange

from worker.engine.interface import GenerationRequest, PromptImage

if TYPE_CHECKING:
    from vllm.multimodal.inputs import MultiModalKwargsItem
    from vllm.multimodal.processing import BaseMultiModalProcessor

CACHE_BYTES = 64 << 20
"""Bytes of prepared images cached for the next turn of a conversation or the next attempt."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An image as vLLM prepares it, from the first to the last token with a feature."""

    item: "MultiModalKwargsItem"
    """Arrays for the network."""
    token_ids: list[int]
    has_feature: Tensor
    """[tokens], bool: whether a token is replaced by a feature."""

    @property
    def num_bytes(self) -> int:
        """Size of the arrays in bytes."""
        arrays = self.item.get_data().values()
        return sum(array.nbytes for array in arrays if isinstance(array, Tensor))

    def places(self, first: int) -> list[int]:
        """Return the positions of the tokens with a feature, if the first of them is at `first`."""
        return [first + int(place) for place in self.has_feature.nonzero()]


class ImageInputs:
    """Conversion of the images of prompts; safe to call from any thread."""

    def __init__(
        self, processor: "BaseMultiModalProcessor[Any]", cache_bytes: int = CACHE_BYTES
    ) -> None:
        """Create it; an image of more than `cache_bytes` is prepared each time."""
        self._processor: Any = processor
        self._one_image: str = processor.dummy_inputs.get_dummy_text({"image": 1})
        self._lock = Lock()  # processors are not made for several threads
        self._cache: LRUCache[bytes, _Prepared] = LRUCache(
            cache_bytes, getsizeof=lambda prepared: prepared.num_bytes
        )

    def to_input(self, request: GenerationRequest) -> MultiModalInput:
        """Return the prompt with its images, followed by the tokens of earlier attempts.

        What vLLM caches of an image is shared among equal salts only. Raises `ValueError` if vLLM
        takes fewer images, or expands one to other tokens than the prompt has for it.
        """
        self._processor.info.validate_num_items("image", len(request.images))
        prepared = [self._prepare(image) for image in request.images]
        salt = request.cache_salt.hex()
        placed = zip(request.images, prepared, strict=True)
        return mm_input(
            [*request.prompt, *request.generated],
            MultiModalKwargsItems({"image": [each.item for each in prepared]}),
            {"image": [f"{salt}-{image.digest.hex()}" for image in request.images]},
            {"image": [_place(request.prompt, *each) for each in placed]},
            cache_salt=salt or None,
        )

    def _prepare(self, image: PromptImage) -> _Prepared:
        with self._lock:
            prepared = self._cache.get(image.digest)
            if prepared is None:
                prepared = self._compute(image)
                with suppress(ValueError):  # larger than the cache
                    self._cache[image.digest] = prepared
        return prepared

    def _compute(self, image: PromptImage) -> _Prepared:
        rendered = self._processor(
            self._one_image,
            self._processor.info.parse_mm_data({"image": [image.decode()]}),
            {"image": [image.digest.hex()]},
        )
        [item] = rendered["mm_kwargs"]["image"]
        [whole] = rendered["mm_placeholders"]["image"]
        first, length = whole.offset, whole.length
        mask = torch.ones(length, dtype=torch.bool) if whole.is_embed is None else whole.is_embed
        places = mask.nonzero().flatten().tolist()
        # Without the delimiters at both ends, which may be one token with the text beside them.
        start, end = (places[0], places[-1] + 1) if places else (0, 0)
        token_ids = rendered["prompt_token_ids"][first + start : first + end]
        return _Prepared(item, token_ids, mask[start:end])


def _place(prompt: Sequence[int], image: PromptImage, prepared: _Prepared) -> PlaceholderRange:
    """Return where a prompt has an image; raise `ValueError` if it has other tokens for it."""
    first = image.positions[0] if image.positions else 0
    token_ids = list(prompt[first : first + len(prepared.token_ids)])
    if token_ids != prepared.token_ids or prepared.places(first) != list(image.positions):
        raise ValueError(
            f"vLLM expands an image to {int(prepared.has_feature.sum())} tokens with features "
            f"where the prompt has {len(image.positions)}, or to others around them"
        )
    return PlaceholderRange(first, len(prepared.token_ids), prepared.has_feature)
