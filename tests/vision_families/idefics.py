"""Idefics 3 and SmolVLM: an image in tiles, each with its own delimiter."""

from typing import Any

from tests.vision_families.family import VISION_SIZE, Ids, VisionFamily

_TILES = tuple(f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2))


def _family(name: str, processor: str, image_processor: str) -> VisionFamily:
    def config(text: dict[str, Any], ids: Ids) -> dict[str, Any]:
        return {
            "model_type": name,
            "text_config": {"model_type": "llama", **text},
            "vision_config": {**VISION_SIZE, "image_size": 32, "patch_size": 8},
            "image_token_id": ids("<image>"),
            "scale_factor": 2,
            "pad_token_id": text["eos_token_id"],
        }

    return VisionFamily(
        name=name,
        image="<image>",
        tokens=("<image>", "<fake_token_around_image>", "<global-img>", *_TILES),
        config=config,
        image_processor={
            "image_processor_type": image_processor,
            "size": {"longest_edge": 64},
            "max_image_size": {"longest_edge": 32},
        },
        processor={"processor_class": processor, "image_seq_len": 4},
    )


FAMILIES = (
    _family("idefics3", "Idefics3Processor", "Idefics3ImageProcessor"),
    _family("smolvlm", "SmolVLMProcessor", "SmolVLMImageProcessor"),
)
