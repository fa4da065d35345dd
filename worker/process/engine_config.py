"""Engine configuration derived from the settings."""

from pathlib import Path

from models.grammars.isolation.bounds import GRAMMAR_LIMITS
from models.grammars.tokenizer import grammar_tokenizer
from models.media.processor_loading import load_processor
from models.profile.weights import served_model_id
from models.settings import Settings
from worker.engine.interface import EngineConfig, GenerationRequest


def engine_config(
    settings: Settings, folder: Path, image_sample: GenerationRequest | None = None
) -> EngineConfig:
    """Return the engine configuration for the weights in `folder`.

    `image_sample` is a request with an image that the engine runs when it loads the model; None if
    images are not accepted.
    """
    name = served_model_id(settings).replace("/", "--")
    return EngineConfig(
        folder=folder,
        dtype="int8" if settings.quantization == "int8" else settings.dtype,
        device=settings.device,
        forward=settings.forward,
        kv_cache_dtype=settings.kv_cache_dtype,
        graph_folder=settings.data_dir / "weights" / ".openvino" / name,
        kv_cache_bytes=int(settings.kv_cache_gib * 2**30),
        max_sequences=settings.max_sequences,
        num_threads=settings.threads,
        grammar_limits=GRAMMAR_LIMITS,
        make_grammar_tokenizer=grammar_tokenizer,
        vllm_args=settings.vllm_args.given,
        image_sample=image_sample,
        load_image_processor=None if image_sample is None else load_processor,
    )
