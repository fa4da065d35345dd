"""Loading of the processor that comes with weights: its parts for text and images, in Pillow.

transformers has most image processors in two variants, for Pillow and for torchvision, whose
results differ by rounding. Pillow's are taken by name, whatever is installed. Parts for video and
audio are left out: nothing here reads those, and those for video exist for torchvision alone.
"""

import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

_Processor: Any = object
"""Base of what is mixed into processors, which has none of their methods by itself."""

_FILES = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
"""Files that may name the class of the processor, in the order in which transformers asks them."""


class _ImagesOnly(_Processor):  # type: ignore[misc]
    """Base that is mixed into a processor class: the processor has no parts but two."""

    @classmethod
    def _get_arguments_from_pretrained(
        cls, folder: str, _config: dict[str, Any] | None = None, **keywords: Any
    ) -> list[Any]:
        from transformers import PreTrainedTokenizerFast

        loaders: dict[str, Any] = {
            "tokenizer": PreTrainedTokenizerFast.from_pretrained,
            "image_processor": partial(_load_image_processor, cls.__name__),
        }
        return [
            loaders[name](folder, **keywords) if name in loaders else None
            for name in cls.get_attributes()
        ]

    def check_argument_for_proper_class(self, name: str, argument: Any) -> Any:
        """Accept parts that are left out."""
        return argument and super().check_argument_for_proper_class(name, argument)


def load_processor(folder: Path) -> Any:
    """Load the processor of the weights in `folder`.

    Raises `ImportError`, `OSError`, `TypeError` or `ValueError` if it cannot be loaded.
    """
    found = _find_class(folder)
    if found.__name__ == "SmolVLMProcessor":
        _spare_num2words()
    images_only: Any = type(found.__name__, (_ImagesOnly, found), {})
    return images_only.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _load_image_processor(processor: str, folder: str, **keywords: Any) -> Any:
    if processor == "Kimi_K25Processor":
        from models.media.kimi import KimiImageProcessor

        return KimiImageProcessor.from_pretrained(folder, **keywords)
    if processor == "Lfm2VlProcessor":
        from models.media.lfm2 import Lfm2ImageProcessor

        return Lfm2ImageProcessor.from_pretrained(folder, **keywords)
    from transformers import AutoImageProcessor

    loader: Any = AutoImageProcessor
    return loader.from_pretrained(folder, backend="pil", **keywords)


def _find_class(folder: Path) -> Any:
    from transformers import AutoConfig
    from transformers.models.auto.processing_auto import (
        PROCESSOR_MAPPING,
        processor_class_from_name,
    )

    for name in _FILES:
        named = _read_json(folder / name).get("processor_class")
        if named == "PixtralProcessor":
            return _pixtral_processor()
        if named and (found := processor_class_from_name(named)) is not None:
            return found
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    if config.model_type in ("mistral3", "pixtral"):
        return _pixtral_processor()
    if type(config) in PROCESSOR_MAPPING:
        return PROCESSOR_MAPPING[type(config)]
    raise ValueError("transformers has no processor for it")


def _pixtral_processor() -> Any:
    """Return the class of Mistral's processor, which takes a function from the torchvision variant.

    Where that cannot be imported, Pillow's, which has the same function, is put in its place.
    """
    package = "transformers.models.pixtral"
    try:
        import_module(f"{package}.image_processing_pixtral")
    except ImportError:
        pillow = import_module(f"{package}.image_processing_pil_pixtral")
        sys.modules[f"{package}.image_processing_pixtral"] = pillow
    return import_module(f"{package}.processing_pixtral").PixtralProcessor


def _spare_num2words() -> None:
    """Let SmolVLM's processor do without a package that spells the numbers of a video's frames."""
    module: Any = import_module("transformers.models.smolvlm.processing_smolvlm")
    module.num2words = module.num2words or str


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads(path.read_bytes()) if path.is_file() else {}
    return content
