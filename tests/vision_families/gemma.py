"""Gemma 3 and Gemma 4: the tokens of an image see each other, in all or in the sliding layers."""

from typing import Any

from tests.vision_families.family import VISION_SIZE, Ids, VisionFamily

_NAMED = {
    "boi_token": "<start_of_image>",
    "image_token": "<image_soft_token>",
    "eoi_token": "<end_of_image>",
}
_NAMED_4 = {
    "boi_token": "<|image>",
    "image_token": "<|image|>",
    "eoi_token": "<image|>",
    "boa_token": "<|audio>",
    "audio_token": "<|audio|>",
    "eoa_token": "<audio|>",
}
_LAYERS = {
    "sliding_window": 24,
    "layer_types": ["sliding_attention", "full_attention"],
    "tie_word_embeddings": False,
}


def _config(text: dict[str, Any], ids: Ids) -> dict[str, Any]:
    vision = {"model_type": "siglip_vision_model", "image_size": 32, "patch_size": 4}
    return {
        "model_type": "gemma3",
        "text_config": text | _LAYERS | {"head_dim": 16},
        "vision_config": vision | VISION_SIZE,
        "mm_tokens_per_image": 16,
        "tie_word_embeddings": False,
        "image_token_index": ids("<image_soft_token>"),
        "boi_token_index": ids("<start_of_image>"),
        "eoi_token_index": ids("<end_of_image>"),
    }


def _gemma4(name: str, *, in_openvino: bool, **changes: Any) -> VisionFamily:
    def config(text: dict[str, Any], ids: Ids) -> dict[str, Any]:
        vision = {"patch_size": 4, "pooling_kernel_size": 2, "head_dim": 16}
        size = {"num_key_value_heads": 2, "position_embedding_size": 512}
        text = text | {"head_dim": 16, "global_head_dim": 16, "vocab_size_per_layer_input": 512}
        return {
            "model_type": "gemma4",
            "text_config": text | _LAYERS | changes,
            "vision_config": VISION_SIZE | vision | size,
            "audio_config": None,
            "tie_word_embeddings": False,
            "image_token_id": ids("<|image|>"),
            "boi_token_id": ids("<|image>"),
            "eoi_token_id": ids("<image|>"),
            "audio_token_id": ids("<|audio|>"),
            "boa_token_id": ids("<|audio>"),
            "eoa_token_index": ids("<audio|>"),
            "video_token_id": ids("<|video|>"),
        }

    return VisionFamily(
        name=name,
        image="<|image|>",
        tokens=(*_NAMED_4.values(), "<|video|>"),
        named_tokens=_NAMED_4,
        config=config,
        image_processor={
            "image_processor_type": "Gemma4ImageProcessor",
            "patch_size": 4,
            "pooling_kernel_size": 2,
            "max_soft_tokens": 70,
        },
        processor={"processor_class": "Gemma4Processor", "image_seq_length": 70},
        in_openvino=in_openvino,
    )


FAMILIES = (
    VisionFamily(
        name="gemma3",
        image="<start_of_image>",
        tokens=tuple(_NAMED.values()),
        named_tokens=_NAMED,
        config=_config,
        image_processor={
            "image_processor_type": "Gemma3ImageProcessor",
            "size": {"height": 32, "width": 32},
        },
        processor={"processor_class": "Gemma3Processor", "image_seq_length": 16},
        in_openvino=False,
    ),
    _gemma4(
        "gemma4",
        in_openvino=False,
        use_bidirectional_attention="vision",
        hidden_size_per_layer_input=0,
    ),
    _gemma4("gemma4_small", in_openvino=True, hidden_size_per_layer_input=8),
)
