"""Check at load that a model's images reach vLLM as the API counts them, and that it computes them.

An error of a step ends the engine, so that a model whose images fail must not be served with them.
"""

import logging
from typing import TYPE_CHECKING

from worker.engine.interface import GenerationRequest, UnsupportedModelError
from worker.engine.vllm.outputs import to_params, to_prompt
from worker.engine.vllm.sequence import VllmSequence

if TYPE_CHECKING:
    from vllm.v1.engine.llm_engine import LLMEngine

    from worker.engine.vllm.images import ImageInputs

logger = logging.getLogger(__name__)


def load_images(engine: "LLMEngine", sample: GenerationRequest | None) -> "ImageInputs | None":
    """Return the conversion of images, or None if the engine takes none.

    That is so without a sample, a prompt with an image, and where vLLM has no processor of images,
    or one that gives an image other tokens; the log then has the reason. Raises
    `UnsupportedModelError` if vLLM cannot compute the sample.
    """
    if sample is None or engine.renderer.mm_processor is None:
        return None
    # Imported only now, because it imports vLLM.
    from worker.engine.vllm.images import ImageInputs

    images = ImageInputs(engine.renderer.get_mm_processor())
    try:
        sequence = VllmSequence(sample, image_input=images.to_input(sample))
    except (RuntimeError, ValueError) as error:
        logger.warning("no images: vLLM prepares them otherwise", extra={"error": str(error)})
        return None
    try:
        engine.add_request(sequence.id, to_prompt(sequence), to_params(sequence))
        while engine.has_unfinished_requests():
            engine.step()
    except Exception as error:
        raise UnsupportedModelError(
            f"vLLM cannot compute its images: {error}; with language_model_only in "
            f"ANTIPHON_VLLM_ARGS it serves text alone"
        ) from error
    return images
