"""Models with a vision part, of which the text is compared here."""

from typing import Any

from bench.families.family import Family, Group

_MROPE: dict[str, Any] = {
    **{"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
}
_PARTIAL_MROPE = _MROPE | {"mrope_section": [1, 1, 2], "partial_rotary_factor": 0.5}
_INTERLEAVED = _MROPE | {"mrope_interleaved": True}
_ALTERNATING = {"layer_types": ["sliding_attention", "full_attention"]}
_CHUNKED: dict[str, Any] = {
    **{"layer_types": ["chunked_attention", "full_attention"]},
    **{"no_rope_layers": [1, 0], "floor_scale": 16},
}


def _family(name: str, model_type: str, text: dict[str, Any], **changes: Any) -> Family:
    return Family(name, model_type, {"text_config": text, **changes}, kind="images")


def _mistral(model_type: str, **changes: Any) -> dict[str, Any]:
    return {"model_type": model_type, "sliding_window": None, **changes}


_GEMMA4: dict[str, Any] = _ALTERNATING | {"global_head_dim": 32, "pad_token_id": 0}

IMAGES = Group(
    "With a vision part, as text models",
    (
        _family("Qwen2-VL", "qwen2_vl", {"rope_parameters": _MROPE}),
        _family("Qwen2.5-VL", "qwen2_5_vl", {"rope_parameters": _MROPE}),
        _family("Qwen3-VL", "qwen3_vl", {"rope_parameters": _INTERLEAVED}),
        _family("Qwen3-VL MoE", "qwen3_vl_moe", {"rope_parameters": _INTERLEAVED}),
        _family("Mistral Small 3.1, 3.2", "mistral3", _mistral("mistral")),
        _family("Ministral 3", "mistral3", _mistral("ministral3")),
        _family("Mistral Small 4", "mistral3", _mistral("mistral4", num_key_value_heads=4)),
        _family(
            "InternVL 3, 3.5",
            "internvl",
            {"model_type": "qwen3"},
            vision_config={"image_size": (32, 32), "patch_size": (8, 8)},
        ),
        _family("SmolVLM", "smolvlm", {"model_type": "llama"}),
        _family(
            "LLaVA 1.5",
            "llava",
            {"model_type": "llama"},
            vision_config={"model_type": "clip_vision_model"},
        ),
        _family("Kimi K2.5", "kimi_k25", {"model_type": "deepseek_v3", "num_key_value_heads": 4}),
        _family("GLM-4.1V", "glm4v", {"rope_parameters": _PARTIAL_MROPE}),
        _family("GLM-4.5V, 4.6V", "glm4v_moe", {"rope_parameters": _PARTIAL_MROPE}),
        _family("Ovis 2", "ovis2", {"model_type": "qwen2"}),
        _family(
            "LFM2-VL",
            "lfm2_vl",
            {"model_type": "lfm2", "layer_types": ["conv", "full_attention"]},
        ),
    ),
)

IMAGES_AND_WINDOWS = Group(
    "With a vision part and windows or states",
    (
        _family("Gemma 3 4B, 12B, 27B", "gemma3", _ALTERNATING, mm_tokens_per_image=4),
        _family("Gemma 4", "gemma4", _GEMMA4, audio_config=None),
        _family("Llama 4", "llama4", _CHUNKED),
        _family("Qwen 3.5", "qwen3_5", {"layer_types": ["linear_attention", "full_attention"]}),
    ),
)
