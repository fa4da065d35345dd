"""From an image to what a vision model is given of it: the processor that came with the weights.

Loads torch, which transformers' processors import; only for models that take images.
"""

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from models.errors import InvalidRequestError
from models.media.images import ImageFile, decode_image

logger = logging.getLogger(__name__)

REMEMBERED_BYTES = 64 << 20
"""Prepared images that are kept: the check before a response and its turns later use them again."""

_PROMPT_NAMES = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedImage:
    """One image as its model takes it."""

    digest: bytes
    text: str
    """What stands for it in a prompt: `num_tokens` image tokens, others between and around."""
    num_tokens: int
    inputs: Mapping[str, Any]
    """Arrays for the vision network, by name."""

    @property
    def num_bytes(self) -> int:
        """Memory of the arrays."""
        return sum(int(array.nbytes) for array in self.inputs.values())


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """A prepared image and the places of its image tokens in a prompt."""

    image: PreparedImage
    positions: Sequence[int]


class ImageReader:
    """Prepares images one at a time and remembers the latest."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self.image_token: str = processor.image_token
        self.image_token_id: int = processor.image_token_id
        self._lock = Lock()  # bounds memory too: decoded images are large
        self._remembered: OrderedDict[bytes, PreparedImage] = OrderedDict()

    def prepare(self, file: ImageFile, param: str) -> PreparedImage:
        """Decode and prepare; raises an `InvalidRequestError` that names `param`."""
        with self._lock:
            prepared = self._remembered.pop(file.digest, None) or self._prepare(file, param)
            self._remembered[file.digest] = prepared
            num_bytes = sum(each.num_bytes for each in self._remembered.values())
            while num_bytes > REMEMBERED_BYTES and len(self._remembered) > 1:
                _, oldest = self._remembered.popitem(last=False)
                num_bytes -= oldest.num_bytes
        return prepared

    def _prepare(self, file: ImageFile, param: str) -> PreparedImage:
        image = decode_image(file, param)
        try:
            output = self._processor(
                text=[self.image_token],
                images=[image],
                return_tensors="np",
                return_text_replacement_offsets=True,
            )
        except ValueError as error:
            message = f"{param} cannot be prepared for this model: {error}"
            raise InvalidRequestError(message, param=param, code="invalid_image") from error
        [[replaced]] = output.pop("text_replacement_offsets")
        token_ids = output["input_ids"][0].tolist()
        return PreparedImage(
            digest=file.digest,
            text=replaced["replacement"],
            num_tokens=token_ids.count(self.image_token_id),
            inputs={name: each for name, each in output.items() if name not in _PROMPT_NAMES},
        )

    def expand(self, text: str, images: Sequence[PreparedImage]) -> str:
        """Put each image's own text in the place of its mark in a rendered prompt."""
        pieces = text.split(self.image_token)
        if len(pieces) != len(images) + 1:
            message = (
                f"{self.image_token!r} marks an image in the prompts of this model: "
                f"{len(pieces) - 1} marks for {len(images)} images. Leave it out of texts."
            )
            raise InvalidRequestError(message, param="input")
        whole = [pieces[0]]
        for image, piece in zip(images, pieces[1:], strict=True):
            whole += [image.text, piece]
        return "".join(whole)

    def place(self, token_ids: Sequence[int], images: Sequence[PreparedImage]) -> list[PlacedImage]:
        """Find each image's tokens in the prompt that `expand` led to."""
        places = [at for at, token in enumerate(token_ids) if token == self.image_token_id]
        placed = []
        for image in images:
            placed.append(PlacedImage(image, places[: image.num_tokens]))
            places = places[image.num_tokens :]
        return placed


def load_image_reader(folder: Path) -> ImageReader | None:
    """The reader of the weights in `folder`; None for a model that takes no images.

    A processor that cannot be loaded here is logged, and leaves a model for text.
    """
    names = ("processor_config.json", "preprocessor_config.json")
    if not any((folder / name).is_file() for name in names):
        return None
    from transformers import AutoProcessor

    loader: Any = AutoProcessor
    try:
        processor = loader.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, backend="pil"
        )
    except (ImportError, OSError, ValueError) as error:
        logger.warning("no images: the processor cannot be loaded", extra={"error": str(error)})
        return None
    has_images = hasattr(processor, "image_processor") and hasattr(processor, "image_token_id")
    return ImageReader(processor) if has_images else None
