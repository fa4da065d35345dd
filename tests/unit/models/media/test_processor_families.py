"""Processors of families of vision models, loaded without what is for video or for torchvision."""

from pathlib import Path

import pytest

from models.media.processor import load_image_reader
from tests.pictures import picture
from tests.tiny_vision import write_vision_model
from tests.unit.models.tiny_tokenizer import tiny_tokenizer
from tests.vision_families.table import FAMILIES

NUM_TOKENS = {
    "gemma3": 16,
    "gemma4": 60,
    "gemma4_small": 60,
    "glm4v": 12,
    "glm4v_moe": 12,
    "idefics3": 20,
    "internvl": 12,
    "kimi_k25": 12,
    "lfm2_vl": 22,
    "llava": 16,
    "llava_next": 70,
    "llava_onevision": 70,
    "mistral3": 12,
    "ovis2": 16,
    "qwen2_vl": 12,
    "qwen2_5_vl": 12,
    "qwen3_5": 12,
    "qwen3_vl": 12,
    "qwen3_vl_moe": 12,
    "smolvlm": 20,
}


@pytest.mark.parametrize("family", list(FAMILIES))
def test_an_image_is_prepared_for_every_family(family: str, tmp_path: Path) -> None:
    reader = load_image_reader(write_vision_model(tmp_path, tiny_tokenizer(), family))
    assert reader is not None

    prepared = reader.prepare_decoded(picture(1), b"digest")

    assert prepared.num_tokens == NUM_TOKENS[family]
    assert "pixel_values" in prepared.inputs
