"""LLaVA, LLaVA-NeXT and LLaVA-OneVision: features of one or several crops of an image."""

from typing import Any

from tests.vision_families.family import VISION_SIZE, Ids, VisionFamily

_CROPS = [[16, 32], [32, 16], [32, 32]]


def _config(text: dict[str, Any], ids: Ids) -> dict[str, Any]:
    return {
        "model_type": "llava",
        "text_config": {"model_type": "llama", **text},
        "vision_config": {
            "model_type": "clip_vision_model",
            **VISION_SIZE,
            "image_size": 32,
            "patch_size": 8,
        },
        "image_token_index": ids("<image>"),
        "vision_feature_layer": -1,
    }


def _next_config(text: dict[str, Any], ids: Ids) -> dict[str, Any]:
    vision = {"model_type": "clip_vision_model", "image_size": 16, "patch_size": 4}
    return {
        "model_type": "llava_next",
        "text_config": {"model_type": "llama", **text},
        "vision_config": vision | VISION_SIZE,
        "image_token_index": ids("<image>"),
        "image_grid_pinpoints": _CROPS,
        "vision_feature_layer": -1,
    }


def _onevision_config(text: dict[str, Any], ids: Ids) -> dict[str, Any]:
    vision = {"model_type": "siglip_vision_model", "image_size": 16, "patch_size": 4}
    return {
        "model_type": "llava_onevision",
        "text_config": {"model_type": "qwen2", **text},
        "vision_config": vision | VISION_SIZE,
        "image_token_index": ids("<image>"),
        "video_token_index": ids("<video>"),
        "image_grid_pinpoints": _CROPS,
        "vision_feature_layer": -1,
        "vision_aspect_ratio": "anyres_max_9",
    }


FAMILIES = (
    VisionFamily(
        name="llava",
        image="<image>",
        tokens=("<image>",),
        config=_config,
        image_processor={
            "image_processor_type": "CLIPImageProcessor",
            "size": {"shortest_edge": 32},
            "crop_size": {"height": 32, "width": 32},
        },
        processor={
            "processor_class": "LlavaProcessor",
            "patch_size": 8,
            "vision_feature_select_strategy": "default",
            "num_additional_image_tokens": 1,
        },
    ),
    VisionFamily(
        name="llava_next",
        image="<image>",
        tokens=("<image>",),
        config=_next_config,
        image_processor={
            "image_processor_type": "LlavaNextImageProcessor",
            "size": {"shortest_edge": 16},
            "crop_size": {"height": 16, "width": 16},
            "image_grid_pinpoints": _CROPS,
        },
        processor={
            "processor_class": "LlavaNextProcessor",
            "patch_size": 4,
            "vision_feature_select_strategy": "default",
            "num_additional_image_tokens": 1,
        },
    ),
    VisionFamily(
        name="llava_onevision",
        image="<image>",
        tokens=("<image>", "<video>"),
        config=_onevision_config,
        image_processor={
            "image_processor_type": "LlavaOnevisionImageProcessor",
            "size": {"height": 16, "width": 16},
            "image_grid_pinpoints": _CROPS,
        },
        processor={
            "processor_class": "LlavaOnevisionProcessor",
            "num_image_tokens": 16,
            "vision_feature_select_strategy": "full",
        },
    ),
)
