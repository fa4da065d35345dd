"""Forward pass in torch: the reference implementation, and the one for GPUs.

Refuses models that it cannot run. Works on tensors and transformers models; sampling and scheduling
are elsewhere.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from worker.engine.image_features import ImageRows, PromptImages, place_positions
from worker.engine.interface import EngineConfig, PromptImage, UnsupportedModelError
from worker.engine.sampling.device_copy import upload
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.batch.packing import Pack, pack
from worker.engine.transformers.batch.state_blocks import make_block_pool
from worker.engine.transformers.device import has_fused_attention
from worker.engine.transformers.model.checks import (
    CHECK_LENGTHS,
    check_packing,
    layer_shapes,
    min_correlation,
)
from worker.engine.transformers.model.forward_check import (
    check_length,
    check_prompts,
    computed_logits,
    deviation,
    reference_logits,
)
from worker.engine.transformers.model.image_placement import ImagePlacement
from worker.engine.transformers.model.loader import end_token_ids, load_model
from worker.engine.transformers.model.memory import divide_cache, free_bytes
from worker.engine.transformers.model.positions import positions_by_batch, split_positions
from worker.engine.transformers.model.vision import ImageEncoder, check_images
from worker.engine.transformers.text_config import text_config_name
from worker.engine.transformers.torch_forward.attention import (
    ATTENTION_NAME,
    KeyValuePool,
    StepInputs,
)
from worker.engine.transformers.torch_forward.cuda_graphs import DecodeGraphs, GraphCapture
from worker.engine.transformers.torch_forward.fused_step import (
    StepShape,
    fused_inputs,
    host_indices,
)
from worker.engine.transformers.torch_forward.gathered.paged_step import paged_inputs
from worker.engine.transformers.torch_forward.mixers import Mixers, StateRecorder, StateStep
from worker.engine.transformers.torch_forward.positions import PositionCache, counts_positions
from worker.engine.transformers.torch_forward.shared_attention import number_shared_attention
from worker.engine.transformers.torch_forward.states import StatePool, state_bytes

logger = logging.getLogger(__name__)

BLOCK_SIZE = 16

_GPU_CACHE_SHARE = 0.9
"""Share of the memory left by the weights that the KV cache takes; the rest is for the tensors of a
step and of captured graphs."""


_MIN_BATCH_CHECK_BLOCKS = 6
"""Least number of blocks that holds three prompts, each as long as a quarter of the blocks."""

_FUSED_CHECK_LENGTHS = (70, 35)
"""Lengths in tokens of check prompts that take several blocks, tiles and spans of keys."""


class TorchForward:
    """Loaded model with the KV pool that its attention reads and writes; implements `Forward`."""

    def __init__(self, config: EngineConfig) -> None:
        """Load the weights and check the results.

        Raises `UnsupportedModelError` for a model whose results would be wrong, and
        `ModelTooLargeError`.
        """
        self._model = load_model(config)
        self.original_length = split_positions(self._model)
        self.block_size = BLOCK_SIZE
        text_config = self._model.config.get_text_config()
        number_shared_attention(self._model)
        self._mixers = Mixers(self._model)
        recorder = StateRecorder()
        with self._mixers.computing(recorder):
            layers = self._layers = layer_shapes(self._model, self._mixers.layers)
        self._counts_positions = counts_positions(self._model)
        self.vocab_size = int(text_config.vocab_size)
        self.eos_token_ids = end_token_ids(self._model)
        token_bytes = self._model.dtype.itemsize * sum(
            layer.num_heads * (layer.key_size + layer.value_size)
            for layer in layers
            if layer.source is None
        )
        cache_bytes = config.kv_cache_bytes
        if self._model.device.type == "cuda":
            cache_bytes = int(_GPU_CACHE_SHARE * free_bytes(self._model.device))
        size = divide_cache(
            cache_bytes,
            block_bytes=token_bytes * BLOCK_SIZE,
            state_bytes=state_bytes(recorder.shapes),
            max_sequences=config.max_sequences,
        )
        self.num_blocks = size.num_blocks
        self.states: StatePool | None = None
        if recorder.shapes:
            self.states = StatePool(
                recorder.shapes,
                size.num_states,
                self._model.device,
                reuses_answers=self._mixers.are_even,
            )
        num_slots = self.num_blocks * BLOCK_SIZE
        self._pool = KeyValuePool(layers, num_slots, self._model.dtype, self._model.device)
        max_positions = getattr(text_config, "max_position_embeddings", None)
        self.context_length: int = min(num_slots, int(max_positions or num_slots))
        self._graphs: DecodeGraphs | None = None
        self._placement = ImagePlacement(self._model)
        self._is_fused = self._can_fuse()
        self._check_attention()
        self._image_encoder: ImageEncoder | None = None
        if config.image_sample is not None:
            self._image_encoder = ImageEncoder(self._model)
            pool, sample = self._make_block_pool(), config.image_sample
            encoded = self.encode_images(sample.prompt, sample.images, b"")
            check_images(self._model, self._compute, pool, sample, encoded)
        if self._is_fused and self.states is None:
            self._capture_graphs(config.max_sequences)

    def encode_images(
        self, prompt: Sequence[int], images: Sequence[PromptImage], salt: bytes
    ) -> PromptImages:
        """Return the images of a prompt; see `Forward`."""
        if self._image_encoder is None:
            raise ValueError("this engine takes no images")
        return self._image_encoder.encode(prompt, images, salt)

    @torch.inference_mode()
    def __call__(self, packed: Pack) -> Tensor:
        """Compute a step; see `Forward`."""
        if self._graphs is not None and self._graphs.can_replay(packed):
            return self._graphs.logits(packed)
        inputs = self._make_inputs(packed)
        if packed.grid:
            inputs = replace(inputs, positions=place_positions(inputs.positions, packed.grid))
        if self.states is None:
            return self._logits(inputs, packed.images)
        with self._mixers.computing(StateStep(self.states, packed, self._model.device)):
            return self._logits(inputs, packed.images)

    def _compute(self, batch: list[Chunk]) -> Tensor:
        return self(pack(batch, BLOCK_SIZE))

    def _make_inputs(self, packed: Pack) -> StepInputs:
        device = self._model.device
        if not self._is_fused:
            return paged_inputs(packed, self._pool, BLOCK_SIZE, device)
        shape = StepShape.of(packed)
        indices = upload(host_indices(packed, shape, self._pool.scratch_slot), device)
        return fused_inputs(indices, shape, self._pool, BLOCK_SIZE)

    def _logits(self, inputs: StepInputs, images: Sequence[ImageRows] = ()) -> Tensor:
        with self._placement.place_images(images, inputs.token_ids.device):
            output = self._model(
                input_ids=inputs.token_ids,
                position_ids=inputs.positions,
                use_cache=False,
                logits_to_keep=inputs.sampled_rows,
                paged=inputs.attention,
                **self._make_position_arguments(inputs),
            )
        logits: Tensor = output.logits[0]
        return logits.float()

    def _make_position_arguments(self, inputs: StepInputs) -> dict[str, PositionCache]:
        return {"cache": PositionCache(inputs.positions[0])} if self._counts_positions else {}

    def _can_fuse(self) -> bool:
        """Return True if the device has fused kernels and they compute every layer."""
        if not has_fused_attention(self._model.device):
            return False
        others = [number for number, layer in enumerate(self._layers) if not layer.is_plain]
        if others:
            reason = "windows, chunks, sinks or capped scores"
            facts = {"reason": reason, "layers": len(others)}
            logger.warning("attending without fused kernels", extra=facts)
        return not others

    def _check_attention(self) -> None:
        """Check the results, and disable fused attention if it fails.

        Triton compiles a module at its first launch, which needs a C compiler, and a GPU may be too
        old or too new for it.
        """
        if self._is_fused:
            try:
                self._check_packing(_FUSED_CHECK_LENGTHS)
            except Exception as error:
                self._is_fused = False
                logger.warning("attending without fused kernels", extra={"reason": repr(error)})
        if not self._is_fused:
            self._check_packing(CHECK_LENGTHS)
        self._check_against_transformers()

    def _check_against_transformers(self) -> None:
        """Raise `UnsupportedModelError` unless long prompts match transformers' own attention.

        Detects networks with attention masks of their own.
        """
        longest = min(self.context_length, self.num_blocks * BLOCK_SIZE // 4)
        length = check_length(self._model.config)
        prompts = check_prompts(self.vocab_size, longest, length)
        if self.num_blocks < _MIN_BATCH_CHECK_BLOCKS:
            prompts = [[prompt] for batch in prompts for prompt in batch]
        name = text_config_name(self._model.config)
        self._model.set_attn_implementation({name: "eager"})
        with positions_by_batch(self._model):
            reference = reference_logits(self._model, prompts)
        self._model.set_attn_implementation({name: ATTENTION_NAME})
        computed = computed_logits(self, BLOCK_SIZE, prompts, self.original_length, self.states)
        found = deviation(reference, computed)
        if not found.correlation >= min_correlation(self._model.dtype):
            raise UnsupportedModelError(
                f"its results differ from those of transformers ({found.correlation:.4f})"
            )

    def _check_packing(self, lengths: tuple[int, ...]) -> None:
        check_packing(self._model, self._layers, self._compute, self._make_block_pool(), lengths)

    def _make_block_pool(self) -> BlockPool:
        return make_block_pool(self.num_blocks, BLOCK_SIZE, self.states)

    @torch.inference_mode()
    def _capture_graphs(self, max_sequences: int) -> None:
        """Enable CUDA graphs for single-token steps.

        They stay disabled if the network cannot be captured, or if replays give wrong results.
        """
        try:
            self._graphs = DecodeGraphs(
                self._logits,
                self._pool,
                BLOCK_SIZE,
                max_rows=max_sequences,
                max_blocks=-(-self.context_length // BLOCK_SIZE),
                capture=GraphCapture(),
            )
            self._check_packing(_FUSED_CHECK_LENGTHS)
        except Exception as error:
            self._graphs = None
            logger.warning("decoding without CUDA graphs", extra={"reason": repr(error)})
