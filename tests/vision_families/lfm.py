"""LFM2-VL: parts of an image in patches, over a language model with short convolutions."""

from typing import Any

from tests.vision_families.family import VISION_SIZE, Ids, VisionFamily

_TILES = tuple(f"<|img_row_{row}_col_{column}|>" for row in (1, 2) for column in (1, 2))
_NAMED = {
    "image_token": "<image>",
    "image_start_token": "<|image_start|>",
    "image_end_token": "<|image_end|>",
    "image_thumbnail_token": "<|img_thumbnail|>",
}


def _config(text: dict[str, Any], ids: Ids) -> dict[str, Any]:
    layers = {"layer_types": ["conv", "full_attention"], "conv_L_cache": 3}
    vision = {"model_type": "siglip2_vision_model", "patch_size": 4, "num_patches": 16}
    return {
        "model_type": "lfm2_vl",
        "text_config": {"model_type": "lfm2", **text, **layers},
        "vision_config": vision | VISION_SIZE,
        "image_token_id": ids("<image>"),
        "projector_hidden_size": 32,
    }


FAMILIES = (
    VisionFamily(
        name="lfm2_vl",
        image="<image>",
        tokens=(*_NAMED.values(), *_TILES),
        named_tokens=_NAMED,
        config=_config,
        image_processor={
            "image_processor_type": "Lfm2VlImageProcessor",
            "encoder_patch_size": 4,
            "tile_size": 16,
            "min_image_tokens": 2,
            "max_image_tokens": 8,
            "max_tiles": 4,
        },
        processor={"processor_class": "Lfm2VlProcessor"},
        in_openvino=False,
    ),
)
