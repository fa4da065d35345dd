"""The network on its device: loads it, refuses what it cannot run, maps a batch to logits.

Knows tensors and transformers; nothing of sampling or of why these chunks were chosen.
"""

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from worker.engine.attention import (
    ATTENTION_NAME,
    KeyValuePool,
    PagedStep,
    register_attention,
)
from worker.engine.blocks import BlockPool
from worker.engine.interface import EngineConfig, PromptImage, UnsupportedModelError
from worker.engine.packing import Pack, pack
from worker.engine.scheduler import Chunk
from worker.engine.support import check_packing, layer_shapes
from worker.engine.vision import (
    EncodedImage,
    ImageEncoder,
    check_images,
    place_images,
    text_config_name,
)

BLOCK_SIZE = 16


class ModelRunner:
    """A loaded model and the pool its attention reads and writes."""

    def __init__(self, config: EngineConfig) -> None:
        """Load the weights; raises `UnsupportedModelError` for a model that would go wrong."""
        torch.set_num_threads(config.num_threads or max(1, (os.cpu_count() or 2) - 1))
        self._model = _load(config)
        text_config = self._model.config.get_text_config()
        layers = layer_shapes(self._model)
        self.vocab_size = int(text_config.vocab_size)
        self.eos_token_ids = _eos_token_ids(self._model)
        token_bytes = self._model.dtype.itemsize * sum(
            layer.num_heads * (layer.key_size + layer.value_size) for layer in layers
        )
        self.num_blocks = config.kv_cache_bytes // (token_bytes * BLOCK_SIZE)
        num_slots = self.num_blocks * BLOCK_SIZE
        self._pool = KeyValuePool(layers, num_slots, self._model.dtype, self._model.device)
        max_positions = getattr(text_config, "max_position_embeddings", None)
        self.context_length: int = min(num_slots, int(max_positions or num_slots))
        check_packing(self._model, self.forward, BlockPool(self.num_blocks, BLOCK_SIZE))
        self._image_encoder: ImageEncoder | None = None
        if config.image_sample is not None:
            self._image_encoder = ImageEncoder(self._model)
            pool = BlockPool(self.num_blocks, BLOCK_SIZE)
            encoded = self.encode_images(config.image_sample.images, b"")
            check_images(self._model, self.forward, pool, config.image_sample, encoded)

    def encode_images(self, images: Sequence[PromptImage], salt: bytes) -> list[EncodedImage]:
        """Compute what the language model sees of a prompt's images, or remember it.

        Safe from any thread. Raises `ValueError` if the network takes no images, or not these.
        """
        if not images:
            return []
        if self._image_encoder is None:
            raise ValueError("this engine takes no images")
        return [self._image_encoder.encode(image, salt) for image in images]

    @torch.inference_mode()
    def forward(self, batch: list[Chunk]) -> Tensor:
        """Compute the batch; return float32 logits [sampled, vocab] of chunks that are the last
        of their sequence, in batch order."""
        packed = pack(batch, BLOCK_SIZE, self._model.device)
        step = PagedStep(self._pool, packed.write_slots, packed.groups, packed.prefills)
        output = self._model(
            **self._inputs(packed),
            position_ids=packed.positions,
            use_cache=False,
            logits_to_keep=packed.sampled_rows,
            paged=step,
        )
        logits: Tensor = output.logits[0]
        return logits.float()

    def _inputs(self, packed: Pack) -> dict[str, Tensor]:
        if not packed.images:
            return {"input_ids": packed.token_ids}
        embeddings = self._model.get_input_embeddings()(packed.token_ids)
        place_images(embeddings[0], packed.images)
        return {"inputs_embeds": embeddings}


def _load(config: EngineConfig) -> Any:
    register_attention()
    try:
        known = AutoConfig.from_pretrained(config.folder, local_files_only=True)
        text_config = text_config_name(known)
        # Only the language model's attention is ours; a vision network keeps its own.
        loader: Any = AutoModelForImageTextToText if text_config else AutoModelForCausalLM
        model = loader.from_pretrained(
            config.folder,
            dtype=config.dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation={text_config: ATTENTION_NAME},
        )
    except (KeyError, ValueError) as error:
        raise UnsupportedModelError(f"transformers cannot load it so: {error!r}") from error
    return model.eval()


def _eos_token_ids(model: Any) -> frozenset[int]:
    generation = model.generation_config
    ids = generation.eos_token_id if generation is not None else None
    if ids is None:
        ids = model.config.get_text_config().eos_token_id
    if ids is None:
        return frozenset()
    return frozenset([ids] if isinstance(ids, int) else ids)
