"""GLM-4V: positions on three axes."""

from typing import Any

from tests.vision_families.family import Ids, VisionFamily

_TOKENS = ("<|begin_of_image|>", "<|image|>", "<|end_of_image|>")
_VIDEO_TOKENS = ("<|begin_of_video|>", "<|video|>", "<|end_of_video|>")


_MIXTURE = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}


def _config(text: dict[str, Any], ids: Ids) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 1.0}
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2}
    patches = {"patch_size": 4, "temporal_patch_size": 2, "spatial_merge_size": 2}
    return {
        "model_type": "glm4v",
        "text_config": text | {"rope_parameters": rope | {"mrope_section": [2, 3, 3]}},
        "vision_config": vision
        | patches
        | {"out_hidden_size": 64, "image_size": 32, "initializer_range": 0.2},
        "image_token_id": ids("<|image|>"),
        "image_start_token_id": ids("<|begin_of_image|>"),
        "image_end_token_id": ids("<|end_of_image|>"),
        "video_token_id": ids("<|video|>"),
        "video_start_token_id": ids("<|begin_of_video|>"),
        "video_end_token_id": ids("<|end_of_video|>"),
    }


def _moe_config(text: dict[str, Any], ids: Ids) -> dict[str, Any]:
    return _config(text | _MIXTURE, ids) | {"model_type": "glm4v_moe"}


def _family(name: str, config: Any) -> VisionFamily:
    return VisionFamily(
        name=name,
        image="".join(_TOKENS),
        tokens=_TOKENS + _VIDEO_TOKENS,
        config=config,
        image_processor={
            "image_processor_type": "Glm4vImageProcessor",
            "patch_size": 4,
            "temporal_patch_size": 2,
            "merge_size": 2,
            "size": {"shortest_edge": 512, "longest_edge": 2048},
        },
        processor={"processor_class": "Glm4vProcessor"},
    )


FAMILIES = (_family("glm4v", _config), _family("glm4v_moe", _moe_config))
