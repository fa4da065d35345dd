"""Image preprocessing for vision models, with the processor that comes with the weights.

Loads torch, which transformers' processors import, but only for models that take images.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from cachetools import LRUCache

from models.errors import InvalidRequestError
from models.media.images import ImageFile, decode_image
from models.media.processor_loading import load_processor

logger = logging.getLogger(__name__)

MAX_CACHED_BYTES = 64 << 20
"""Size in bytes of the cache of prepared images, which validation and every turn share."""

_PROMPT_NAMES = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedImage:
    """Image in the form that the model takes."""

    digest: bytes
    text: str
    """Text of the image in a prompt: its tokens and the delimiters around them."""
    num_tokens: int
    """Number of tokens in it that the network replaces by features."""
    inputs: Mapping[str, Any]
    """Input arrays of the vision encoder, by name."""
    decode: Callable[[], Any]
    """Function that decodes its file again, to RGB, for engines that prepare images themselves."""
    num_file_bytes: int = 0
    """Size of its file, which `decode` keeps."""

    @property
    def num_bytes(self) -> int:
        """Size of arrays and file in bytes."""
        return self.num_file_bytes + sum(int(array.nbytes) for array in self.inputs.values())


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """Prepared image with the positions of its image tokens in a prompt."""

    image: PreparedImage
    positions: Sequence[int]


class ImageReader:
    """Preprocessor of images, one at a time, with a cache of the latest."""

    def __init__(
        self,
        processor: Any,
        feature_token_ids: Collection[int],
        max_cached_bytes: int = MAX_CACHED_BYTES,
    ) -> None:
        """Create a reader; an image of more than `max_cached_bytes` is prepared each time.

        `feature_token_ids` are the tokens that the network replaces by features of an image.
        """
        self._processor = processor
        self.image_token: str = processor.image_token
        """What chat templates write for an image, which may be another token."""
        self.feature_token_ids = frozenset(feature_token_ids)
        self._lock = Lock()  # also bounds memory: decoded images are large
        self._cache: LRUCache[bytes, PreparedImage] = LRUCache(
            max_cached_bytes, getsizeof=lambda image: image.num_bytes
        )

    def prepare(self, file: ImageFile, param: str) -> PreparedImage:
        """Decode and preprocess an image; raise `InvalidRequestError` that names `param`."""
        with self._lock:
            prepared = self._cache.get(file.digest)
            if prepared is None:
                prepared = self._prepare(file, param)
                with suppress(ValueError):
                    self._cache[file.digest] = prepared
        return prepared

    def _prepare(self, file: ImageFile, param: str) -> PreparedImage:
        image = decode_image(file, param)
        try:
            prepared = self.prepare_decoded(image, file.digest)
        except ValueError as error:
            message = f"{param} cannot be prepared for this model: {error}"
            raise InvalidRequestError(message, param=param, code="invalid_image") from error
        decode = partial(decode_image, file, param)
        return replace(prepared, decode=decode, num_file_bytes=len(file.content))

    def prepare_decoded(self, image: Any, digest: bytes) -> PreparedImage:
        """Preprocess a decoded image; raise `ValueError` if the processor refuses it."""
        output = self._processor(
            text=[self.image_token],
            images=[image],
            return_tensors="np",
            return_text_replacement_offsets=True,
        )
        [[replaced]] = output.pop("text_replacement_offsets")
        token_ids = output["input_ids"][0].tolist()
        return PreparedImage(
            digest=digest,
            text=replaced["replacement"],
            num_tokens=sum(token in self.feature_token_ids for token in token_ids),
            inputs={name: array for name, array in output.items() if name not in _PROMPT_NAMES},
            decode=lambda: image,
        )

    def expand(
        self, text: str, images: Sequence[PreparedImage], mark: Callable[[str], str] = str
    ) -> str:
        """Replace each image placeholder in a rendered prompt by the text of its image.

        `mark` is applied to placeholders and replacements (models/chat/control_tokens.py). Raises
        `InvalidRequestError` if the numbers of placeholders and images differ.
        """
        pieces = text.split(mark(self.image_token))
        if len(pieces) != len(images) + 1:
            message = (
                f"The chat template of this model shows {len(pieces) - 1} of {len(images)} images."
            )
            raise InvalidRequestError(message, param="input")
        whole = [pieces[0]]
        for image, piece in zip(images, pieces[1:], strict=True):
            whole += [mark(image.text), piece]
        return "".join(whole)

    def place(self, token_ids: Sequence[int], images: Sequence[PreparedImage]) -> list[PlacedImage]:
        """Return the positions of each image's tokens in the encoded result of `expand`."""
        positions = [n for n, token in enumerate(token_ids) if token in self.feature_token_ids]
        placed = []
        for image in images:
            placed.append(PlacedImage(image, positions[: image.num_tokens]))
            positions = positions[image.num_tokens :]
        return placed


def load_image_reader(folder: Path) -> ImageReader | None:
    """Load the image processor of the weights in `folder`; None if the model takes no images.

    If the processor cannot be loaded, a warning is logged and the model serves text only.
    """
    names = ("processor_config.json", "preprocessor_config.json")
    if not any((folder / name).is_file() for name in names):
        return None
    from transformers import AutoConfig

    try:
        processor = load_processor(folder)
        config: Any = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (ImportError, OSError, TypeError, ValueError) as error:
        logger.warning("no images: the processor cannot be loaded", extra={"error": str(error)})
        return None
    has_images = hasattr(processor, "image_processor") and hasattr(processor, "image_token")
    image_token_id = getattr(config, "image_token_id", None)
    if not has_images or image_token_id is None:
        return None
    delimiters = getattr(config, "visual_indicator_token_ids", ())
    return ImageReader(processor, (image_token_id, *delimiters))
