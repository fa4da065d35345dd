"""Qwen2-VL to Qwen3.5: positions on three axes and, in Qwen3-VL, features of deeper layers."""

from typing import Any

from tests.vision_families.family import Ids, VisionFamily

_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
_PATCHES = {"patch_size": 4, "temporal_patch_size": 2, "spatial_merge_size": 2}
_IMAGE_PROCESSOR: dict[str, Any] = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "patch_size": 4,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "size": {"shortest_edge": 256, "longest_edge": 1024},
}


def _family(
    name: str, model_type: str, processor: str, config: Any, *, in_openvino: bool = True
) -> VisionFamily:
    def with_ids(text: dict[str, Any], ids: Ids) -> dict[str, Any]:
        return {
            "model_type": model_type,
            "image_token_id": ids("<|image_pad|>"),
            "video_token_id": ids("<|video_pad|>"),
            "vision_start_token_id": ids("<|vision_start|>"),
            "vision_end_token_id": ids("<|vision_end|>"),
            **config(text),
        }

    return VisionFamily(
        name=name,
        image=_IMAGE,
        tokens=_TOKENS,
        config=with_ids,
        image_processor=_IMAGE_PROCESSOR,
        processor={"processor_class": processor},
        in_openvino=in_openvino,
    )


def _head_size(text: dict[str, Any]) -> int:
    return int(text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"])


def _rope(text: dict[str, Any], *eighths: int) -> dict[str, Any]:
    """Return rotary parameters that divide half of a head among the axes."""
    sections = [eighth * _head_size(text) // 16 for eighth in eighths]
    return {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": sections}


def _qwen2(text: dict[str, Any]) -> dict[str, Any]:
    vision = {"depth": 2, "embed_dim": 32, "num_heads": 2, "mlp_ratio": 2}
    vision |= {"hidden_size": text["hidden_size"]}
    return {
        "text_config": text | {"rope_parameters": _rope(text, 2, 3, 3)},
        "vision_config": vision | _PATCHES | {"initializer_range": 0.2},
    }


def _qwen2_5(text: dict[str, Any]) -> dict[str, Any]:
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2}
    windows = {"window_size": 16, "fullatt_block_indexes": [1]}
    windows |= {"out_hidden_size": text["hidden_size"]}
    return {
        "text_config": text | {"rope_parameters": _rope(text, 2, 3, 3)},
        "vision_config": vision | windows | _PATCHES | {"initializer_range": 0.2},
    }


def _qwen3(text: dict[str, Any]) -> dict[str, Any]:
    vision = {"depth": 3, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2}
    deep = {
        "out_hidden_size": text["hidden_size"],
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0, 1],
    }
    text = text | {"head_dim": _head_size(text), "num_hidden_layers": 3}
    return {
        "text_config": text | {"rope_parameters": _rope(text, 4, 2, 2)},
        "vision_config": vision | deep | _PATCHES | {"initializer_range": 0.2},
    }


def _qwen3_moe(text: dict[str, Any]) -> dict[str, Any]:
    mixture = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    return _qwen3(text | mixture)


def _qwen3_5(text: dict[str, Any]) -> dict[str, Any]:
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2}
    merged = {"out_hidden_size": text["hidden_size"], "num_position_embeddings": 64}
    linear = {
        "layer_types": ["linear_attention", "full_attention"],
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
    }
    rope = _rope(text, 4, 2, 2) | {"partial_rotary_factor": 1.0}
    return {
        "text_config": text | linear | {"rope_parameters": rope, "head_dim": _head_size(text)},
        "vision_config": vision | merged | _PATCHES | {"initializer_range": 0.2},
    }


FAMILIES = (
    _family("qwen2_vl", "qwen2_vl", "Qwen2VLProcessor", _qwen2),
    _family("qwen2_5_vl", "qwen2_5_vl", "Qwen2_5_VLProcessor", _qwen2_5),
    _family("qwen3_vl", "qwen3_vl", "Qwen3VLProcessor", _qwen3),
    _family("qwen3_5", "qwen3_5", "Qwen3VLProcessor", _qwen3_5, in_openvino=False),
    _family("qwen3_vl_moe", "qwen3_vl_moe", "Qwen3VLProcessor", _qwen3_moe),
)
