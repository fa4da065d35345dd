"""Our image processor in the place of vLLM's, so that images have the tokens that the API counted.

transformers has most image processors in two variants, whose results differ by rounding, and vLLM
takes the one for torchvision where that is installed; without it, processors with a part for video
cannot be loaded. Ours is loaded as the API loads it, for images alone.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vllm.model_executor.model_loader import get_model_architecture
from vllm.multimodal import MULTIMODAL_REGISTRY
from vllm.platforms import current_platform

if TYPE_CHECKING:
    from vllm.config import ModelConfig, VllmConfig

CONFIG_KEY = "antiphon_image_processor"
"""Name in vLLM's `additional_config` of the function that loads the processor, `module:name`."""

_processors: dict[str, Any] = {}
"""Processors of this process, by the folders of their models."""


class _ImagesOnly:
    """Base that is mixed into what vLLM knows of a model's inputs (its `BaseProcessingInfo`)."""

    ctx: Any
    model_id: str

    def get_hf_processor(self, **options: object) -> Any:
        """Return our processor, with the options of the checkpoint.

        It is vLLM's until ours is loaded, if the process had another model of the class before.
        """
        if self.model_id in _processors:
            return _processors[self.model_id]
        return super().get_hf_processor(**options)  # type: ignore[misc]

    def get_supported_mm_limits(self) -> Mapping[str, int | None]:
        """Return the largest number of images in a prompt, None for any number."""
        limits: Mapping[str, int | None] = super().get_supported_mm_limits()  # type: ignore[misc]
        return {kind: limit for kind, limit in limits.items() if kind == "image"}


def name_of(load: Callable[[Path], Any]) -> str:
    """Return the name of a function, for `CONFIG_KEY`."""
    return f"{load.__module__}:{load.__qualname__}"


def use_our_processor(model_config: "ModelConfig", loader: str) -> None:
    """Let vLLM prepare the images of a model by our processor, in this process.

    Raises `ValueError` if vLLM takes no images with this model or would compute them wrongly, and
    `ImportError`, `OSError` or `TypeError` if a processor cannot be loaded.
    """
    processor = MULTIMODAL_REGISTRY.create_processor(model_config)
    if "image" not in processor.info.get_supported_mm_limits():
        raise ValueError("vLLM takes no images with this model")
    if model_config.is_mm_prefix_lm and current_platform.is_cpu():
        raise ValueError("vLLM does not show later tokens of an image to earlier ones on CPUs")
    if model_config.uses_mrope:
        # Tried with Qwen2.5-VL: fluent answers, but not those of transformers.
        raise ValueError("vLLM computes images with positions on three axes otherwise")
    module, _, name = loader.partition(":")
    _processors[model_config.model] = getattr(import_module(module), name)(Path(model_config.model))
    if isinstance(processor.info, _ImagesOnly):
        return
    own = type(processor.info)
    info: Any = type(own.__name__, (_ImagesOnly, own), {})
    model_class, _ = get_model_architecture(model_config)
    register: Any = MULTIMODAL_REGISTRY.register_processor(
        type(processor), info=info, dummy_inputs=type(processor.dummy_inputs)
    )
    register(model_class)


def use_configured_processor(config: "VllmConfig") -> None:
    """Do the same in a process of vLLM's, whose configuration names the loader."""
    loader = config.additional_config.get(CONFIG_KEY)
    if loader and config.model_config.model not in _processors:
        use_our_processor(config.model_config, loader)
