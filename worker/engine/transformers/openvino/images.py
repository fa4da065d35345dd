"""Image encoder for a network that OpenVINO computes: its vision part stays in torch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from worker.engine.interface import EngineConfig, GenerationRequest
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.batch.packing import Pack, pack
from worker.engine.transformers.model.loader import load_network
from worker.engine.transformers.model.vision import ImageEncoder, check_images


def load_image_encoder(
    config: EngineConfig,
    sample: GenerationRequest,
    forward: Callable[[Pack], Tensor],
    num_blocks: int,
    block_size: int,
) -> ImageEncoder:
    """Load the network in torch too, in float32, and return its image encoder.

    Raises `UnsupportedModelError` unless `forward`, whose cache has `num_blocks` blocks of
    `block_size` tokens, gives the results of the whole network for a prompt with an image.
    """
    model = load_network(config, torch.float32, torch.device("cpu"))
    encoder = ImageEncoder(model)
    images = encoder.encode(sample.prompt, sample.images, b"")
    pool = BlockPool(num_blocks, block_size)
    # Any type but float32 rounds at least as much as bfloat16, even if computed in float32.
    dtype = torch.float32 if config.dtype == "float32" else torch.bfloat16

    def compute(batch: list[Chunk]) -> Tensor:
        return forward(pack(batch, block_size))

    check_images(model, compute, pool, sample, images, dtype)
    _drop_language_layers(model)
    return encoder


def _drop_language_layers(model: Any) -> None:
    """Free the language layers, by far the most of the weights, which the graph computes."""
    language: Any = model.get_decoder()
    if isinstance(getattr(language, "layers", None), nn.ModuleList):
        language.layers = nn.ModuleList()
