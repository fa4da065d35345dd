"""Model runner: selects the forward pass for a model and device, and runs it on batches."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from worker.engine.checkpoint.files import Checkpoint
from worker.engine.cpu_cores import num_cores
from worker.engine.image_features import PromptImages
from worker.engine.interface import EngineConfig, PromptImage, UnsupportedModelError
from worker.engine.transformers.backend import find_openvino_setting, wants_openvino
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.batch.packing import pack
from worker.engine.transformers.batch.state_blocks import StateSlots
from worker.engine.transformers.forward import Forward
from worker.engine.transformers.malloc import keep_freed_memory
from worker.engine.transformers.model.preview.checkpoint import check_folder

logger = logging.getLogger(__name__)


class ModelRunner:
    """A loaded model: batches of chunks in, logits out."""

    def __init__(self, config: EngineConfig) -> None:
        """Load the weights.

        Raises `UnsupportedModelError` for a model that cannot be computed correctly, and
        `ModelTooLargeError`.
        """
        torch.set_num_threads(config.num_threads or num_cores())
        self._compute = load_forward(config)
        # Only after loading, so that the memory freed by it returns to the system.
        keep_freed_memory()

    @property
    def block_size(self) -> int:
        """Number of tokens in a cache block."""
        return self._compute.block_size

    @property
    def num_blocks(self) -> int:
        """Number of blocks in the cache."""
        return self._compute.num_blocks

    @property
    def states(self) -> StateSlots | None:
        """States of the sequences, or None if the network keeps none."""
        return self._compute.states

    @property
    def vocab_size(self) -> int:
        """Width of the logits."""
        return self._compute.vocab_size

    @property
    def eos_token_ids(self) -> frozenset[int]:
        """End-of-sequence tokens of the network."""
        return self._compute.eos_token_ids

    @property
    def original_length(self) -> int | None:
        """Number of tokens above which all positions of a sequence have other rotary factors."""
        return self._compute.original_length

    @property
    def context_length(self) -> int:
        """Largest number of tokens of a sequence that both network and cache can hold."""
        return self._compute.context_length

    def encode_images(
        self, prompt: Sequence[int], images: Sequence[PromptImage], salt: bytes
    ) -> PromptImages | None:
        """Return the images of a prompt, if it has any; see `Forward.encode_images`."""
        return self._compute.encode_images(prompt, images, salt) if images else None

    @torch.inference_mode()
    def forward(self, batch: list[Chunk]) -> Tensor:
        """Compute the batch and return float32 logits [sampled, vocab].

        They have a row for each chunk that is the last of its sequence, in batch order. The next
        call may overwrite them.
        """
        return self._compute(pack(batch, self._compute.block_size))


def load_forward(config: EngineConfig) -> Forward:
    """Load the forward pass: OpenVINO's on CPUs, torch's on other devices.

    A model whose results in OpenVINO differ from transformers' is computed by torch, with a
    warning, unless the configuration needs a feature of OpenVINO. Raises `UnsupportedModelError`
    and `ModelTooLargeError`.
    """
    if not config.has_random_weights:
        check_folder(config.folder)
    obstacle = _find_obstacle(config)
    if not wants_openvino(config):
        return _load_torch_forward(config)
    if obstacle:
        logger.warning("computing in torch: %s", obstacle)
        return _load_torch_forward(config)
    # Imported here, because each backend loads libraries that the other does not need.
    from worker.engine.transformers.openvino.forward import GraphError, load_openvino_forward

    try:
        return load_openvino_forward(config)
    except GraphError as error:
        if find_openvino_setting(config):
            raise UnsupportedModelError(f"OpenVINO cannot compute it: {error}") from error
        logger.warning("computing in torch: %s", error)
        return _load_torch_forward(config)


def _find_obstacle(config: EngineConfig) -> str:
    """Return why torch computes the network though OpenVINO is preferred, or an empty string.

    Raises `UnsupportedModelError` for a network that neither computes.
    """
    if wants_openvino(config) and config.image_sample is None:
        from worker.engine.transformers.openvino.store import is_converted

        # It was checked then; transformers is slow to import.
        if is_converted(config):
            return ""
    from worker.engine.transformers.model.preview.network_check import check_network, read_config

    checkpoint = Checkpoint.of_folder(config.folder)
    return check_network(checkpoint, read_config(checkpoint), config)


def _load_torch_forward(config: EngineConfig) -> Forward:
    from worker.engine.transformers.torch_forward.forward import TorchForward

    return TorchForward(config)
