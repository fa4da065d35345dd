"""InternVL: tiles of an image, between two delimiters."""

from typing import Any

from tests.vision_families.family import VISION_SIZE, Ids, VisionFamily

_NAMED = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}


def _config(text: dict[str, Any], ids: Ids) -> dict[str, Any]:
    vision = {"model_type": "internvl_vision", "image_size": [16, 16], "patch_size": [4, 4]}
    return {
        "model_type": "internvl",
        "text_config": {"model_type": "qwen2", **text},
        "vision_config": vision | VISION_SIZE,
        "image_token_id": ids("<IMG_CONTEXT>"),
        "image_seq_length": 4,
        "downsample_ratio": 0.5,
    }


FAMILIES = (
    VisionFamily(
        name="internvl",
        image="<IMG_CONTEXT>\n",
        tokens=tuple(_NAMED.values()),
        named_tokens=_NAMED,
        config=_config,
        image_processor={
            "image_processor_type": "GotOcr2ImageProcessor",
            "size": {"height": 16, "width": 16},
            "crop_to_patches": True,
            "min_patches": 1,
            "max_patches": 3,
        },
        processor={"processor_class": "InternVLProcessor", "image_seq_length": 4},
    ),
)
