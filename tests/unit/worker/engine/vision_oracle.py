"""Tiny vision model as transformers itself runs it, and requests for the engine to compare with."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, GenerationConfig, PreTrainedTokenizerFast

from models.media.processor import ImageReader, load_image_reader
from tests.tiny_vision import write_vision_model
from tests.unit.worker.engine.conftest import byte_tokenizer
from tests.vision_families.table import FAMILIES
from worker.engine.interface import GenerationRequest, PromptImage
from worker.engine.params import SamplingParams

NUM_TOKENS = 12

_Network: Any = AutoModelForImageTextToText
_GenerationConfig: Any = GenerationConfig


class Vision:
    """A tiny vision model: requests for it, and the output of transformers for them."""

    def __init__(self, folder: Path, family: str) -> None:
        """Load the network of a family; texts of requests have `<image>` for an image."""
        self.folder = folder
        self.family = family
        self.image = FAMILIES[family].image
        """Text of an image as the network knows it."""
        reader = load_image_reader(folder)
        assert reader is not None
        self.reader: ImageReader = reader
        self._processor = reader._processor
        self.network: Any = _Network.from_pretrained(folder)

    def request(
        self, name: str, text: str, *images: Image.Image, **fields: Any
    ) -> GenerationRequest:
        """Return a greedy request for a text with an `<image>` for each image."""
        prepared = [self.reader.prepare_decoded(image, _digest(image)) for image in images]
        written = self.reader.expand(self._written(text), prepared)
        tokens = self._processor.tokenizer(written)["input_ids"]
        assert tokens == self._inputs(text, images)["input_ids"][0].tolist()
        placed = self.reader.place(tokens, prepared)
        assert all(image.positions for image in placed)
        prompt_images = [
            PromptImage(
                digest=at.image.digest,
                positions=at.positions,
                inputs=at.image.inputs,
                decode=at.image.decode,
            )
            for at in placed
        ]
        params = SamplingParams(max_tokens=NUM_TOKENS, temperature=0, ignore_eos=True)
        return GenerationRequest(
            sequence_id=name, prompt=tokens, params=params, images=prompt_images, **fields
        )

    def generate(self, text: str, *images: Image.Image) -> list[int]:
        """Return the continuation by `model.generate`."""
        inputs = {key: torch.as_tensor(value) for key, value in self._inputs(text, images).items()}
        config = _GenerationConfig(max_new_tokens=NUM_TOKENS, do_sample=False, pad_token_id=0)
        self.network.generation_config.eos_token_id = None
        output = self.network.generate(**inputs, generation_config=config)
        return list(output[0, inputs["input_ids"].shape[1] :].tolist())

    def _inputs(self, text: str, images: Any) -> Any:
        text = self._written(text)
        return self._processor(text=[text], images=list(images) or None, return_tensors="np")

    def _written(self, text: str) -> str:
        return text.replace("<image>", self.image)


def tiny_vision(family: str, folder: Path, **text: Any) -> Vision:
    """Save a random network of a family, and return it as transformers loads it."""
    wrap: Any = PreTrainedTokenizerFast
    tokenizer = wrap(tokenizer_object=byte_tokenizer(), eos_token="<end>")
    return Vision(write_vision_model(folder, tokenizer, family, **text), family)


def leave_classes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep vLLM from marking transformers' classes as what it may compile.

    That lasts for the process, and transformers could neither make nor compute their networks then.
    """
    from vllm.model_executor.models.transformers.base import Base

    monkeypatch.setattr(Base, "_decorate_cls_for_torch_compile", lambda *_args, **_marks: None)


def _digest(image: Image.Image) -> bytes:
    return image.tobytes()[:64]
