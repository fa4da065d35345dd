"""Conversion of a prompt's images to the engine's types."""

from models.chat.prompt import EncodedPrompt
from models.chat.template_encoder import TemplateEncoder
from worker.engine.interface import GenerationRequest, PromptImage
from worker.engine.params import SamplingParams


def engine_images(prompt: EncodedPrompt) -> list[PromptImage]:
    """Return the images of an encoded prompt."""
    return [
        PromptImage(
            digest=placed.image.digest,
            positions=placed.positions,
            inputs=placed.image.inputs,
            decode=placed.image.decode,
        )
        for placed in prompt.images
    ]


def image_sample(encoder: TemplateEncoder) -> GenerationRequest | None:
    """Return a request that tests the network with an image; None if it supports no images."""
    prompt = encoder.image_sample()
    if prompt is None:
        return None
    return GenerationRequest(
        sequence_id="sample",
        prompt=prompt.token_ids,
        params=SamplingParams(max_tokens=1),
        images=engine_images(prompt),
    )
