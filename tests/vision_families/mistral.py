"""Mistral 3: a row of an image ends with a token of its own."""

from typing import Any

from tests.vision_families.family import VISION_SIZE, Ids, VisionFamily


def _config(text: dict[str, Any], ids: Ids) -> dict[str, Any]:
    vision = {"model_type": "pixtral", "head_dim": 16, "image_size": 64, "patch_size": 4}
    return {
        "model_type": "mistral3",
        "text_config": {"model_type": "mistral", "sliding_window": None, **text},
        "vision_config": vision | VISION_SIZE,
        "image_token_index": ids("[IMG]"),
        "spatial_merge_size": 2,
        "vision_feature_layer": -1,
    }


FAMILIES = (
    VisionFamily(
        name="mistral3",
        image="[IMG]",
        tokens=("[IMG]", "[IMG_BREAK]", "[IMG_END]"),
        config=_config,
        image_processor={
            "image_processor_type": "PixtralImageProcessor",
            "size": {"longest_edge": 32},
            "patch_size": {"height": 4, "width": 4},
        },
        processor={"processor_class": "PixtralProcessor", "patch_size": 4, "spatial_merge_size": 2},
    ),
)
