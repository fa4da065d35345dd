"""Image processor of Kimi K2.5 in Pillow: transformers has one for torchvision only.

An image is scaled down to the limits of patches, filled up with black at its right and bottom to
whole groups of patches, and cut into patches, row by row.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Any, ClassVar, Unpack

import numpy as np
from numpy.typing import NDArray
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_base import BatchFeature
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs
from transformers.utils.constants import IMAGENET_STANDARD_MEAN, IMAGENET_STANDARD_STD

_Backend: Any = PilBackend


class KimiImageOptions(ImagesKwargs, total=False):
    """Options of the processor besides those that all image processors have."""

    max_patches: int
    patch_size: int
    merge_size: int


class KimiImageProcessor(_Backend):  # type: ignore[misc]  # its types are narrower than its uses
    """Image processor with the options of `Kimi_K25ImageProcessor`."""

    do_resize = True
    resample = PILImageResampling.BICUBIC
    size: ClassVar = {"max_height": 512, "max_width": 512}
    """Longest edges, in patches."""
    max_patches = 16_384
    do_rescale = True
    do_normalize = True
    image_mean = IMAGENET_STANDARD_MEAN
    image_std = IMAGENET_STANDARD_STD
    do_convert_rgb = True
    patch_size = 14
    merge_size = 2
    valid_kwargs = KimiImageOptions
    model_input_names: ClassVar = ["pixel_values", "image_grid_thw"]

    def __init__(self, **options: Unpack[KimiImageOptions]) -> None:
        super().__init__(**options)

    def _preprocess(
        self, images: list[NDArray[Any]], *, return_tensors: Any, **options: Any
    ) -> BatchFeature:
        patches, grids = zip(*(self._patches(image, options) for image in images), strict=True)
        data = {"pixel_values": np.concatenate(patches), "image_grid_thw": np.array(grids)}
        return BatchFeature(data=data, tensor_type=return_tensors)

    def _patches(
        self, image: NDArray[Any], options: dict[str, Any]
    ) -> tuple[NDArray[Any], list[int]]:
        """Return the patches of an image, [patches, channels, height, width], and its grid."""
        patch, group = options["patch_size"], options["patch_size"] * options["merge_size"]
        if options["do_resize"]:
            size = _scaled_size(image.shape[-2:], options)
            scaled = _size_dict(size)
            image = self.resize(image, size=scaled, resample=options["resample"])
            whole = _size_dict([-(-edge // group) * group for edge in size])
            [image] = self.pad([image], pad_size=whole)
        if options["do_rescale"]:
            image = self.rescale(image, options["rescale_factor"])
        if options["do_normalize"]:
            image = self.normalize(image, options["image_mean"], options["image_std"])
        channels, height, width = image.shape
        rows, columns = height // patch, width // patch
        cut = image.reshape(channels, rows, patch, columns, patch).transpose(1, 3, 0, 2, 4)
        flat = cut.reshape(rows * columns, channels, patch, patch).astype(np.float32)
        return flat, [1, rows, columns]


def _scaled_size(size: Sequence[int], options: dict[str, Any]) -> list[int]:
    """Return the size of an image once its patches, in all and in each row, are not too many."""
    patch = options["patch_size"]
    longest = options["size"].max_height * patch
    height, width = size
    num_patches = max(1, height // patch) * max(1, width // patch)
    scale = min(1.0, sqrt(options["max_patches"] / num_patches), longest / height, longest / width)
    return [min(max(1, int(edge * scale)), longest) for edge in size]


def _size_dict(size: Sequence[int]) -> SizeDict:
    height, width = size
    return SizeDict(height=height, width=width)
