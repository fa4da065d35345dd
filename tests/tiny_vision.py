"""Tiny vision models with random weights, saved with processor and chat template."""

from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    CLIPVisionConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.idefics3.processing_idefics3 import Idefics3Processor
from transformers.models.llava.processing_llava import LlavaProcessor

from tests.tiny_llama import tiny_llama

Kind = Literal["llava", "idefics3"]

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{{ eos_token }}{% endfor %}assistant: "
)
_TILE_TOKENS = [f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)]
_IMAGE_TOKENS = ["<image>", "<fake_token_around_image>", "<global-img>", *_TILE_TOKENS]
_VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
    "initializer_range": 0.2,
}


def write_vision_model(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    kind: Kind,
    *,
    eos_scale: float = 1.0,
    **text: Any,
) -> Path:
    """Save a random LLaVA or Idefics3 (the architecture of SmolVLM) for images of 32 by 32 pixels.

    `eos_scale` above 1 makes the model end its answers sooner; `text` overrides fields of the
    language model's config.
    """
    torch.manual_seed(0)
    tokenizer.add_special_tokens({"additional_special_tokens": _IMAGE_TOKENS})
    tokenizer.chat_template = CHAT_TEMPLATE
    image_token_id = tokenizer.convert_tokens_to_ids("<image>")
    ending = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.eos_token_id}
    assert isinstance(image_token_id, int)
    language = tiny_llama(vocab_size=len(tokenizer), **ending | text)
    make = _llava if kind == "llava" else _idefics3
    model, processor = make(language, tokenizer, image_token_id)
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id] *= eos_scale
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _llava(language: LlamaConfig, tokenizer: Any, image_token_id: int) -> tuple[Any, Any]:
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_VISION),
        text_config=language,
        image_token_index=image_token_id,
        vision_feature_layer=-1,
    )
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    processor = LlavaProcessor(  # type: ignore[no-untyped-call]
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )
    return LlavaForConditionalGeneration(config), processor


def _idefics3(language: LlamaConfig, tokenizer: Any, image_token_id: int) -> tuple[Any, Any]:
    config = Idefics3Config(  # type: ignore[call-arg]  # it takes `pad_token_id` as a keyword
        vision_config=Idefics3VisionConfig(**_VISION),
        text_config=language,
        image_token_id=image_token_id,
        scale_factor=2,
        pad_token_id=tokenizer.eos_token_id,
    )
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}
    )
    processor = Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=CHAT_TEMPLATE)
    return Idefics3ForConditionalGeneration(config), processor
