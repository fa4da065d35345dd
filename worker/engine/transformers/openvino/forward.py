"""Loading of a network for OpenVINO, from disk or by conversion, and the check of its results."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from worker.engine.image_features import PromptImages
from worker.engine.interface import (
    BadCheckpointError,
    EngineConfig,
    ModelTooLargeError,
    PromptImage,
    UnsupportedModelError,
)
from worker.engine.transformers.batch.packing import Pack
from worker.engine.transformers.model.forward_check import (
    Deviation,
    check_prompts,
    computed_logits,
    deviation,
    num_cached_tokens,
)
from worker.engine.transformers.model.memory import (
    check_fits,
    free_cpu_bytes,
    stored_bytes,
)
from worker.engine.transformers.model.preview.estimate import openvino_bytes
from worker.engine.transformers.model.quantized.footprint import footprint
from worker.engine.transformers.model.quantized.format import Format
from worker.engine.transformers.model.quantized.formats import folder_format
from worker.engine.transformers.model.vision import ImageEncoder
from worker.engine.transformers.openvino.compiled_graph import CompiledGraph
from worker.engine.transformers.openvino.compress import compress_weights
from worker.engine.transformers.openvino.network import Network
from worker.engine.transformers.openvino.precision import (
    Execution,
    Weights,
    choose_execution,
    weights_of,
)
from worker.engine.transformers.openvino.store import (
    converts_to_full,
    is_converted,
    lock_folder,
    network_folder,
    read_network,
    write_network,
)

logger = logging.getLogger(__name__)

_MIN_CORRELATION = {"int4": 0.5, "int8": 0.8, "u8": 0.8, "bf16": 0.9, "f32": 0.9999}
"""Minimum correlation of logits with those of transformers, by the coarsest type that a network is
computed in; a lower one is an error, not rounding. The limits of short types are low because
rounding may route a token to another expert."""

MAX_AUTO_DIVERGENCE = 0.01
"""Largest divergence of next-token distributions, in nats, at which `auto` chooses bfloat16."""


class GraphError(Exception):
    """Failure of OpenVINO to compute the model as transformers does; the message is the reason."""


class OpenVinoForward:
    """Implementation of `Forward` for CPUs."""

    def __init__(self, network: Network, compiled: CompiledGraph, config: EngineConfig) -> None:
        """Allocate the cache, and load the image encoder if the network takes images.

        Raises `UnsupportedModelError` for a network whose results for images would be wrong, and
        `ValueError` if the cache has no room for two blocks.
        """
        self._network = network  # keeps memory alive that the compiled graph may read
        self._compiled = compiled
        self.block_size = compiled.block_size
        self.num_blocks = config.kv_cache_bytes // compiled.block_bytes
        if self.num_blocks < 2:
            raise ValueError("kv_cache_bytes has no room for two blocks")
        compiled.allocate(self.num_blocks)
        self.vocab_size = network.vocab_size
        self.eos_token_ids = network.eos_token_ids
        self.original_length = network.original_length
        num_slots = self.num_blocks * self.block_size
        self.context_length = min(num_slots, network.max_positions or num_slots)
        self._images: ImageEncoder | None = None
        if config.image_sample is not None:
            # Imported only if needed: it loads the network in torch, as does the conversion below.
            from worker.engine.transformers.openvino.images import load_image_encoder

            blocks = self.num_blocks, self.block_size
            self._images = load_image_encoder(config, config.image_sample, compiled, *blocks)

    @property
    def states(self) -> None:
        """Return None: a network with states is not converted."""
        return None

    def __call__(self, packed: Pack) -> Tensor:
        """Compute a step; see `Forward`."""
        return self._compiled(packed)

    def encode_images(
        self, prompt: Sequence[int], images: Sequence[PromptImage], salt: bytes
    ) -> PromptImages:
        """Return the images of a prompt; see `Forward`."""
        if self._images is None:
            raise ValueError("this engine takes no images")
        return self._images.encode(prompt, images, salt)


def load_openvino_forward(
    config: EngineConfig, *, max_auto_divergence: float = MAX_AUTO_DIVERGENCE
) -> OpenVinoForward:
    """Load, compile and check a network; `max_auto_divergence` limits bfloat16 chosen by `auto`.

    Raises `GraphError` for a network that cannot be converted or whose results differ from those of
    transformers, `UnsupportedModelError` and `ModelTooLargeError`.
    """
    form = _packed_format(config)
    execution = choose_execution(config, 0 if form is None else form.group_size)
    weights_bytes = openvino_bytes(footprint(config.folder), config.dtype, execution.precision)
    check_fits(weights_bytes, config.kv_cache_bytes, free_cpu_bytes())
    # Quantized weights are made from the full ones, if those are on disk.
    was_stored = is_converted(config) or is_converted(replace(config, dtype="auto"))
    network = prepare_network(config)
    try:
        compiled = _compile(config, network, execution, max_auto_divergence)
    except GraphError as error:
        if not was_stored:
            raise
        # The network on disk may be damaged: convert it again and retry.
        logger.warning("converting again: %s", error)
        network = prepare_network(config, force=True)
        compiled = _compile(config, network, execution, max_auto_divergence)
    try:
        return OpenVinoForward(network, compiled, config)
    except UnsupportedModelError as error:  # of images
        raise GraphError(str(error)) from error


def _packed_format(config: EngineConfig) -> Format | None:
    """Return the format of weights that stay quantised; None if they are not or do not."""
    form = folder_format(config.folder)
    return None if form is None or form.conversion == "full" else form


def prepare_network(config: EngineConfig, *, force: bool = False) -> Network:
    """Return the network from disk, or convert it and store it there.

    `force` converts even if the network is on disk. Raises `GraphError`, and
    `UnsupportedModelError` if weights that are quantised were to be quantised again. Safe to call
    from several processes: one converts, the others wait. If nothing can be written, the network is
    converted at every load.
    """
    kind = weights_of(config)
    if kind != "full" and _packed_format(config) is not None:
        raise UnsupportedModelError("its weights are quantised already: set ANTIPHON_DTYPE=auto")
    if config.graph_folder is None:
        return _convert(config, kind)
    folder = network_folder(config, kind)
    found = None if force else read_network(folder)
    if found is not None:
        return found
    try:
        with lock_folder(folder):
            found = None if force else read_network(folder)
            return found or _convert_into(folder, config, kind, force=force)
    except OSError as error:
        logger.warning("the converted network is not kept: %s", error)
        return _convert(config, kind)


def _convert_into(folder: Path, config: EngineConfig, kind: Weights, *, force: bool) -> Network:
    write_network(_convert(config, kind, force=force), folder)
    written = read_network(folder)
    if written is None:
        raise GraphError("what was converted cannot be read back")
    return written


def _convert(config: EngineConfig, kind: Weights, *, force: bool = False) -> Network:
    network = None
    # A forced conversion starts over, as the network with full weights may be damaged too.
    if kind != "full" and config.graph_folder is not None and not force:
        network = read_network(network_folder(config, "full"))
    logger.info("converting the network for OpenVINO", extra={"weights": kind})
    try:
        network = network or _convert_full(config)
        if kind != "full":
            compress_weights(network.graph, 8 if kind == "int8" else 4, network.vocab_size)
    except (GraphError, ModelTooLargeError, BadCheckpointError):
        raise
    except Exception as error:
        raise GraphError(_summarize(error)) from error
    return network


def _convert_full(config: EngineConfig) -> Network:
    # Tracing and writing take as much memory again as the weights.
    needed = 2 * stored_bytes(config.folder)
    if converts_to_full(config):  # from 8 bits to 32 or 16
        needed *= 4 if config.dtype == "float32" else 2
    if needed > (free := free_cpu_bytes()):
        raise GraphError(f"converting takes {needed >> 20} MiB, and {free >> 20} are free")
    from worker.engine.transformers.openvino.conversion.convert import convert

    return convert(config)


def _compile(
    config: EngineConfig, network: Network, execution: Execution, max_auto_divergence: float
) -> CompiledGraph:
    """Compile with the chosen execution or, if its results are wrong, with the next best one.

    Raises `GraphError` if none gives correct results.
    """
    reason = GraphError("it was not tried")
    for attempt in _list_executions(config, execution):
        try:
            kind = "int8" if _rounds_activations(config, attempt) else weights_of(config)
            compiled, found = _compile_and_check(network, attempt, kind)
        except GraphError as error:
            reason = error
            continue
        is_rounded = attempt.precision != "f32" or _rounds_activations(config, attempt)
        is_auto = config.dtype == "auto" and is_rounded
        if not is_auto or found.divergence <= max_auto_divergence:
            facts = {"precision": attempt.precision, "weights": weights_of(config)}
            logger.info("compiled", extra=facts | {"divergence": round(found.divergence, 6)})
            return compiled
    raise reason


def _list_executions(config: EngineConfig, execution: Execution) -> Iterator[Execution]:
    yield execution
    if weights_of(config) != "full":
        # Not every processor can multiply 8-bit activations.
        yield replace(execution, activation_group=0)
        return
    execution = replace(execution, activation_group=0)
    if _packed_format(config) is not None:
        yield execution
    if config.dtype == "auto" and execution.precision != "f32":
        cache_precision = "u8" if execution.cache_precision == "u8" else "f32"
        yield replace(execution, precision="f32", cache_precision=cache_precision)


def _rounds_activations(config: EngineConfig, execution: Execution) -> bool:
    """Return True if activations are rounded to 8 bits for products with quantised weights."""
    return bool(execution.activation_group) and _packed_format(config) is not None


def _compile_and_check(
    network: Network, execution: Execution, kind: Weights
) -> tuple[CompiledGraph, Deviation]:
    try:
        compiled = CompiledGraph(network.graph, execution)
        prompts = check_prompts(network.vocab_size, network.max_positions, network.check_length)
        compiled.allocate(num_cached_tokens(prompts) // compiled.block_size)
        computed = computed_logits(compiled, compiled.block_size, prompts, network.original_length)
    except (RuntimeError, ValueError) as error:  # ValueError: a wrong number of logits
        raise GraphError(_summarize(error)) from error
    found = deviation(network.reference, computed)
    types = (kind, execution.precision, execution.cache_precision)
    least = min(_MIN_CORRELATION[name] for name in types if name in _MIN_CORRELATION)
    # Negated, so that NaN fails too.
    if not found.correlation >= least:
        raise GraphError(
            f"its results differ from those of transformers (correlation {found.correlation:.4f})"
        )
    return compiled, found


def _summarize(error: BaseException) -> str:
    """Return the root cause of an error on one line, cut to its last 300 characters."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[-300:]}"
