"""Preprocessed images, with the image processors of transformers."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import InvalidRequestError
from models.media.images import read_image_part
from models.media.processor import ImageReader, PreparedImage, load_image_reader
from tests.pictures import file_of, picture, picture_url
from tests.tiny_vision import write_vision_model
from tests.unit.models.tiny_tokenizer import tiny_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vision_model(tmp_path_factory.mktemp("vision"), tiny_tokenizer(), "idefics3")


@pytest.fixture
def reader(folder: Path) -> ImageReader:
    loaded = load_image_reader(folder)
    assert loaded is not None
    return loaded


def prepare(reader: ImageReader, seed: int) -> PreparedImage:
    return reader.prepare(read_image_part({"image_url": picture_url(seed)}, "it"), "it")


def test_an_image_becomes_arrays_and_the_tokens_that_stand_for_it(reader: ImageReader) -> None:
    image = prepare(reader, 0)

    assert image.num_tokens == image.text.count(reader.image_token) == 20
    assert image.inputs["pixel_values"].shape == (1, 5, 3, 32, 32)
    assert set(image.inputs) == {"pixel_values", "pixel_attention_mask"}


def test_an_image_can_be_decoded_again_and_its_file_counts_in_the_cache(
    reader: ImageReader,
) -> None:
    image, expected = prepare(reader, 0), picture(0)
    arrays = sum(array.nbytes for array in image.inputs.values())

    assert image.decode().tobytes() == expected.tobytes()
    assert image.num_bytes == arrays + len(file_of(expected))


def test_images_stand_where_their_marks_were(reader: ImageReader) -> None:
    images = [prepare(reader, 0), prepare(reader, 1)]

    text = reader.expand("a<image>b<image>c", images)
    assert text == f"a{images[0].text}b{images[1].text}c"

    [token] = reader.feature_token_ids
    placed = reader.place([7, *[token] * 20, 7, *[token] * 10, 7, *[token] * 10], images)
    assert [list(image.positions) for image in placed] == [
        list(range(1, 21)),
        [*range(22, 32), *range(33, 43)],
    ]


def test_a_template_that_shows_an_image_twice_is_told(reader: ImageReader) -> None:
    with pytest.raises(InvalidRequestError, match="shows 2 of 1 images"):
        reader.expand("<image> and my <image>", [prepare(reader, 0)])


def test_an_image_is_prepared_once(reader: ImageReader, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(reader, 0)
    monkeypatch.setattr(reader, "_processor", None)

    assert prepare(reader, 0) is first


def test_only_the_latest_images_are_remembered(reader: ImageReader) -> None:
    size = max(prepare(reader, seed).num_bytes for seed in (0, 1))
    reader = ImageReader(reader._processor, reader.feature_token_ids, max_cached_bytes=size)
    first = prepare(reader, 0)
    prepare(reader, 1)

    again = prepare(reader, 0)

    assert again is not first
    assert np.array_equal(again.inputs["pixel_values"], first.inputs["pixel_values"])


def test_an_image_that_its_processor_refuses_is_the_clients_fault(
    reader: ImageReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise ValueError("absolute aspect ratio must be smaller than 200")

    refuse.image_token = "<image>"  # type: ignore[attr-defined]
    monkeypatch.setattr(reader, "_processor", refuse)

    with pytest.raises(InvalidRequestError, match="aspect ratio"):
        prepare(reader, 0)


def test_a_folder_without_a_processor_takes_no_images(tmp_path: Path) -> None:
    assert load_image_reader(tmp_path) is None


def test_a_processor_that_cannot_be_loaded_leaves_a_model_for_text(tmp_path: Path) -> None:
    (tmp_path / "processor_config.json").write_text('{"processor_class": "NoSuchProcessor"}')

    assert load_image_reader(tmp_path) is None
