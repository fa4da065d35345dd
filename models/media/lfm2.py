"""Image processor of LFM2-VL in Pillow: transformers has one for torchvision only.

A small image is one part, scaled to a number of pixels within limits. A large one is cut into
tiles, in the grid that is closest to its shape, and followed by a small copy of the whole. Each
part is cut into patches.
"""

from math import ceil, floor, sqrt
from typing import Any, ClassVar, Unpack

import numpy as np
from numpy.typing import NDArray
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_base import BatchFeature
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs
from transformers.utils.constants import IMAGENET_STANDARD_MEAN, IMAGENET_STANDARD_STD

_Backend: Any = PilBackend

Size = tuple[int, int]
"""Height and width in pixels, or rows and columns."""


class Lfm2ImageOptions(ImagesKwargs, total=False):
    """Options of the processor besides those that all image processors have."""

    downsample_factor: int
    do_image_splitting: bool
    min_tiles: int
    max_tiles: int
    use_thumbnail: bool
    min_image_tokens: int
    max_image_tokens: int
    encoder_patch_size: int
    tile_size: int
    max_pixels_tolerance: float
    return_row_col_info: bool


class Lfm2ImageProcessor(_Backend):  # type: ignore[misc]  # its types are narrower than its uses
    """Image processor with the options of `Lfm2VlImageProcessor`."""

    downsample_factor = 2
    do_image_splitting = True
    min_tiles = 2
    max_tiles = 10
    use_thumbnail = True
    min_image_tokens = 64
    max_image_tokens = 256
    encoder_patch_size = 16
    tile_size = 512
    max_pixels_tolerance = 2.0
    do_resize = True
    size: ClassVar = {"height": 512, "width": 512}
    resample = PILImageResampling.BILINEAR
    do_rescale = True
    rescale_factor = 1 / 255
    do_normalize = True
    do_convert_rgb = True
    return_row_col_info = False
    image_mean = IMAGENET_STANDARD_MEAN
    image_std = IMAGENET_STANDARD_STD
    valid_kwargs = Lfm2ImageOptions
    model_input_names: ClassVar = ["pixel_values", "pixel_attention_mask", "spatial_shapes"]

    def __init__(self, **options: Unpack[Lfm2ImageOptions]) -> None:
        super().__init__(**options)

    def _preprocess(
        self, images: list[NDArray[Any]], *, return_tensors: Any, **options: Any
    ) -> BatchFeature:
        data: dict[str, list[Any]] = {name: [] for name in self.model_input_names}
        layouts = []
        for image in images:
            grid, size = _layout(image.shape[-2:], options)
            layouts.append((*grid, size))
            for part in self._cut(image, grid, size, options):
                self._add_patches(part, options, data)
        rows, columns, sizes = zip(*layouts, strict=True)
        info = {"image_rows": rows, "image_cols": columns, "image_sizes": sizes}
        return BatchFeature(
            data={name: np.stack(parts) for name, parts in data.items()} | info,
            tensor_type=return_tensors,
        )

    def _cut(
        self, image: NDArray[Any], grid: Size, size: Size, options: dict[str, Any]
    ) -> list[NDArray[Any]]:
        """Return the tiles of an image and its small copy, or the scaled image alone."""
        small = self._scale(image, size, options)
        if grid == (1, 1):
            return [small]
        (rows, columns), edge = grid, options["tile_size"]
        whole = self._scale(image, (rows * edge, columns * edge), options)
        tiles = [
            whole[:, row * edge : (row + 1) * edge, column * edge : (column + 1) * edge]
            for row in range(rows)
            for column in range(columns)
        ]
        return [*tiles, small] if options["use_thumbnail"] else tiles

    def _scale(self, image: NDArray[Any], size: Size, options: dict[str, Any]) -> NDArray[Any]:
        scaled = SizeDict(height=size[0], width=size[1])
        result: NDArray[Any] = self.resize(image, size=scaled, resample=options["resample"])
        return result

    def _add_patches(
        self, part: NDArray[Any], options: dict[str, Any], data: dict[str, list[Any]]
    ) -> None:
        """Append the patches of a part, filled up to the most of any part, and a mask of them."""
        if options["do_rescale"]:
            part = self.rescale(part, options["rescale_factor"])
        if options["do_normalize"]:
            part = self.normalize(part, options["image_mean"], options["image_std"])
        patch = options["encoder_patch_size"]
        channels, height, width = part.shape
        rows, columns = height // patch, width // patch
        cut = part.reshape(channels, rows, patch, columns, patch).transpose(1, 3, 2, 4, 0)
        flat = cut.reshape(rows * columns, -1).astype(np.float32)
        num_empty = max(0, _max_patches(options) - len(flat))
        data["pixel_values"].append(np.pad(flat, ((0, num_empty), (0, 0))))
        mask = np.arange(len(flat) + num_empty) < len(flat)
        data["pixel_attention_mask"].append(mask.astype(np.int32))
        data["spatial_shapes"].append(np.array([rows, columns]))


def _max_patches(options: dict[str, Any]) -> int:
    in_tile: int = (options["tile_size"] // options["encoder_patch_size"]) ** 2
    in_image: int = options["max_image_tokens"] * options["downsample_factor"] ** 2
    return max(in_image, in_tile if options["do_image_splitting"] else 0)


def _layout(size: Size, options: dict[str, Any]) -> tuple[Size, Size]:
    """Return the grid of an image, and the size of its small copy or, in a grid of one, its own."""
    patch, unit = _units(options)
    height, width = (max(patch, round(edge / unit) * unit) for edge in size)
    most = options["max_image_tokens"] * unit**2 * options["max_pixels_tolerance"]
    can_split = (
        options["do_image_splitting"] and not options["min_tiles"] == options["max_tiles"] == 1
    )
    grid = _closest_grid(size, options) if can_split and height * width > most else (1, 1)
    return grid, _small_size(size, options)


def _units(options: dict[str, Any]) -> Size:
    patch: int = options["encoder_patch_size"]
    return patch, patch * options["downsample_factor"]


def _small_size(size: Size, options: dict[str, Any]) -> Size:
    """Return a size of whole tokens near `size`, with a number of tokens within the limits."""
    _, unit = _units(options)
    height, width = size
    rows, columns = (max(1, round(edge / unit)) for edge in size)
    least, most = options["min_image_tokens"], options["max_image_tokens"]
    if rows * columns > most:
        scale = sqrt(height * width / (most * unit**2)) * unit
        rows, columns = (max(1, floor(edge / scale)) for edge in size)
    elif rows * columns < least:
        scale = sqrt(least * unit**2 / (height * width)) / unit
        rows, columns = (ceil(edge * scale) for edge in size)
    return rows * unit, columns * unit


def _closest_grid(size: Size, options: dict[str, Any]) -> Size:
    """Return the rows and columns of the grid of tiles that is closest to an image's shape.

    Of equally close ones, the larger is taken if the image has enough pixels for it.
    """
    least, most, edge = options["min_tiles"], options["max_tiles"], options["tile_size"]
    height, width = size
    grids = {
        (rows, columns)
        for rows in range(1, most + 1)
        for columns in range(1, most + 1)
        if least <= rows * columns <= most
    }
    best, closest = (1, 1), float("inf")
    for rows, columns in sorted(grids, key=lambda grid: (grid[0] * grid[1], grid[1])):
        distance = abs(width / height - columns / rows)
        is_filled = height * width > 0.5 * edge**2 * rows * columns
        if distance < closest or (distance == closest and is_filled):
            best, closest = (rows, columns), distance
    return best
