"""Chooses the forward pass for a model and device, and gives it one batch after the other."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from worker.engine.cpu_cores import num_cores
from worker.engine.image_features import EncodedImage
from worker.engine.interface import EngineConfig, PromptImage, UnsupportedModelError
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.batch.packing import pack
from worker.engine.transformers.device import resolve_device
from worker.engine.transformers.forward import Forward
from worker.engine.transformers.malloc import keep_freed_memory

logger = logging.getLogger(__name__)


class ModelRunner:
    """A loaded model: batches of chunks in, logits out."""

    def __init__(self, config: EngineConfig) -> None:
        """Load the weights.

        Raises `UnsupportedModelError` for a model that would go wrong, and `ModelTooLargeError`.
        """
        torch.set_num_threads(config.num_threads or num_cores())
        self._compute = load_forward(config)
        # Only now: what loading has freed goes back to the system.
        keep_freed_memory()

    @property
    def block_size(self) -> int:
        """Tokens of a block of the cache."""
        return self._compute.block_size

    @property
    def num_blocks(self) -> int:
        """Blocks of the cache."""
        return self._compute.num_blocks

    @property
    def vocab_size(self) -> int:
        """Width of the logits."""
        return self._compute.vocab_size

    @property
    def eos_token_ids(self) -> frozenset[int]:
        """Tokens with which the network ends an answer."""
        return self._compute.eos_token_ids

    @property
    def context_length(self) -> int:
        """Most tokens of a sequence that network and cache hold."""
        return self._compute.context_length

    def encode_images(self, images: Sequence[PromptImage], salt: bytes) -> list[EncodedImage]:
        """See `Forward.encode_images`."""
        return self._compute.encode_images(images, salt) if images else []

    @torch.inference_mode()
    def forward(self, batch: list[Chunk]) -> Tensor:
        """Compute the batch; return float32 logits [sampled, vocab] of chunks that are the last
        of their sequence, in batch order. The next call may overwrite them."""
        return self._compute(pack(batch, self._compute.block_size))


def uses_openvino(config: EngineConfig) -> bool:
    """Whether OpenVINO is to compute the network, if it can; raises `UnsupportedModelError` if
    something is asked for that only it has, where it can't compute any."""
    is_cpu = resolve_device(config.device).type == "cpu"
    is_possible = is_cpu and config.forward != "torch"
    if not is_possible and (reason := _needs_openvino(config)):
        where = "torch" if is_cpu else "a device other than a CPU"
        raise UnsupportedModelError(f"{reason} is for OpenVINO on CPUs, not for {where}")
    return is_possible


def _needs_openvino(config: EngineConfig) -> str:
    """What is asked for that torch has not; empty if nothing is."""
    if config.forward == "openvino":
        return "ANTIPHON_FORWARD=openvino"
    if config.dtype == "int4":
        return "ANTIPHON_DTYPE=int4"
    return "ANTIPHON_KV_CACHE_DTYPE=int8" if config.kv_cache_dtype == "int8" else ""


def load_forward(config: EngineConfig) -> Forward:
    """Load OpenVINO's forward pass on CPUs, and torch's elsewhere.

    A model that OpenVINO can't compute as transformers does is computed by torch, with a warning,
    unless the configuration asks for what only OpenVINO has. Raises `UnsupportedModelError` and
    `ModelTooLargeError`.
    """
    if not uses_openvino(config):
        return _load_torch_forward(config)
    # Each loads libraries that the other does without.
    from worker.engine.transformers.openvino.forward import GraphError, load_openvino_forward

    try:
        return load_openvino_forward(config)
    except GraphError as error:
        if _needs_openvino(config):
            raise UnsupportedModelError(f"OpenVINO cannot compute it: {error}") from error
        logger.warning("computing in torch: %s", error)
        return _load_torch_forward(config)


def _load_torch_forward(config: EngineConfig) -> Forward:
    from worker.engine.transformers.torch_forward.forward import TorchForward

    return TorchForward(config)
