"""Image processors in Pillow of models for which transformers has them for torchvision only.

The sizes were taken from transformers' own, whose pixels differ by two levels of 255 at most.
"""

import numpy as np
import pytest
from PIL import Image

from models.media.kimi import KimiImageProcessor
from models.media.lfm2 import Lfm2ImageProcessor
from tests.pictures import picture


@pytest.mark.parametrize(
    ("width", "height", "rows", "columns"),
    [(60, 40, 4, 6), (14, 14, 2, 2), (5, 300, 22, 2), (1000, 700, 50, 72), (3000, 2000, 106, 158)],
)
def test_kimi_cuts_an_image_into_whole_groups_of_patches(
    width: int, height: int, rows: int, columns: int
) -> None:
    output = KimiImageProcessor()(Image.new("RGB", (width, height)), return_tensors="np")

    assert output["image_grid_thw"].tolist() == [[1, rows, columns]]
    assert output["pixel_values"].shape == (rows * columns, 3, 14, 14)


def test_kimi_fills_up_with_black_at_the_right_and_below() -> None:
    white = Image.new("RGB", (30, 20), "white")

    patches = KimiImageProcessor()(white, return_tensors="np")["pixel_values"]

    rows = patches.reshape(2, 4, 3, 14, 14).transpose(2, 0, 3, 1, 4).reshape(3, 28, 56)
    assert np.array_equal(rows[:, :20, :30], np.ones((3, 20, 30)))
    assert (rows[:, 20:] == -1).all()
    assert (rows[:, :, 30:] == -1).all()


@pytest.mark.parametrize(
    ("width", "height", "grid", "size"),
    [
        (60, 40, (1, 1), [224, 320]),
        (14, 14, (1, 1), [256, 256]),
        (5, 300, (1, 1), [1984, 64]),
        (1000, 700, (2, 3), [416, 608]),
        (1030, 514, (1, 1), [352, 704]),
    ],
)
def test_lfm2_cuts_large_images_into_tiles(
    width: int, height: int, grid: tuple[int, int], size: list[int]
) -> None:
    image = Image.new("RGB", (width, height))

    output = Lfm2ImageProcessor()(image, return_tensors="np", return_row_col_info=True)

    assert (output["image_rows"][0], output["image_cols"][0]) == grid
    assert list(output["image_sizes"][0]) == size
    tiles = [] if grid == (1, 1) else [[32, 32]] * (grid[0] * grid[1])
    small = [size[0] // 16, size[1] // 16]
    assert output["spatial_shapes"].tolist() == [*tiles, small]
    assert output["pixel_values"].shape[1:] == (max(1024, small[0] * small[1]), 16 * 16 * 3)


def test_lfm2_marks_the_patches_that_are_there() -> None:
    output = Lfm2ImageProcessor()(picture(0), return_tensors="np")

    [rows, columns] = output["spatial_shapes"][0]
    assert output["pixel_attention_mask"].sum() == rows * columns
    assert (output["pixel_values"][0, rows * columns :] == 0).all()


def test_lfm2_without_tiles_scales_every_image_down() -> None:
    processor = Lfm2ImageProcessor(do_image_splitting=False)

    output = processor(picture(0, 1000, 700), return_tensors="np")

    assert output["spatial_shapes"].tolist() == [[26, 38]]
