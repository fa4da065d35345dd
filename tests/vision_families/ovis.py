"""Ovis 2: the delimiters of an image have features, too."""

from typing import Any

from tests.vision_families.family import VISION_SIZE, Ids, VisionFamily

_DELIMITERS = ("<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>")


def _config(text: dict[str, Any], ids: Ids) -> dict[str, Any]:
    vision = {"image_size": 16, "patch_size": 4, "hidden_stride": 2, "vocab_size": 24}
    return {
        "model_type": "ovis2",
        "text_config": {"model_type": "qwen2", **text},
        "vision_config": VISION_SIZE | vision,
        "image_token_id": ids("<IMG_ATOM>"),
        "visual_indicator_token_ids": [ids(token) for token in _DELIMITERS],
        "vocab_size": text["vocab_size"],
        "hidden_size": text["hidden_size"],
        "tie_word_embeddings": False,
    }


FAMILIES = (
    VisionFamily(
        name="ovis2",
        image="<image>",
        tokens=("<image>", "<IMG_ATOM>", *_DELIMITERS),
        config=_config,
        image_processor={
            "image_processor_type": "Ovis2ImageProcessor",
            "size": {"height": 16, "width": 16},
            "crop_to_patches": True,
            "max_patches": 3,
        },
        processor={"processor_class": "Ovis2Processor", "image_seq_length": 4},
    ),
)
