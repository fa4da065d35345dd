"""Kimi K2.5: images of any size, over a language model with latent attention."""

from typing import Any

from tests.vision_families.family import VISION_SIZE, Ids, VisionFamily

_TOKENS = (
    "<|media_begin|>",
    "<|media_content|>",
    "<|media_pad|>",
    "<|media_end|>",
    "<|video_pad|>",
)
_MIXTURE = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
}


def _config(text: dict[str, Any], ids: Ids) -> dict[str, Any]:
    patches = {"patch_size": 4, "pos_emb_height": 8, "pos_emb_width": 8}
    return {
        "model_type": "kimi_k25",
        "text_config": {"model_type": "deepseek_v3", **text, **_MIXTURE},
        "vision_config": VISION_SIZE | patches,
        "projection_hidden_size": 32,
        "image_token_id": ids("<|media_pad|>"),
        "video_token_id": ids("<|video_pad|>"),
        "vision_start_token_id": ids("<|media_begin|>"),
        "vision_end_token_id": ids("<|media_end|>"),
        "tie_word_embeddings": False,
    }


FAMILIES = (
    VisionFamily(
        name="kimi_k25",
        # In a graph of this size, the plugin gives fewer rows than are sampled, which the check at
        # load sees: torch computes it.
        in_openvino=False,
        image="<|media_begin|>image<|media_content|><|media_pad|><|media_end|>",
        tokens=_TOKENS,
        named_tokens={"image_token": "<|media_pad|>", "video_token": "<|video_pad|>"},
        config=_config,
        image_processor={
            "image_processor_type": "Kimi_K25ImageProcessor",
            "patch_size": 4,
            "merge_size": 2,
            "max_patches": 64,
            "size": {"max_height": 8, "max_width": 8},
        },
        processor={"processor_class": "Kimi_K25Processor"},
    ),
)
