"""Models whose images vLLM does not take, or would compute wrongly."""

from collections.abc import Mapping
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")


@pytest.mark.parametrize(
    ("limits", "traits", "reason"),
    [
        ({"video": None}, {}, "takes no images with this model"),
        (
            {"image": None},
            {"is_mm_prefix_lm": True},
            "does not show later tokens of an image to earlier ones on CPUs",
        ),
        ({"image": None}, {"uses_mrope": True}, "positions on three axes"),
    ],
)
def test_a_model_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
    limits: Mapping[str, int | None],
    traits: Mapping[str, bool],
    reason: str,
) -> None:
    from vllm.multimodal import MULTIMODAL_REGISTRY

    from worker.engine.vllm.image_processing import use_our_processor

    info = SimpleNamespace(get_supported_mm_limits=lambda: limits)
    monkeypatch.setattr(
        MULTIMODAL_REGISTRY,
        "create_processor",
        lambda _config: SimpleNamespace(info=info),
    )
    config: Any = SimpleNamespace(
        **{"model": "folder", "is_mm_prefix_lm": False, "uses_mrope": False, **traits}
    )

    with pytest.raises(ValueError, match=reason):
        use_our_processor(config, "nowhere:nothing")


def test_a_second_model_of_a_class_has_vllms_processor_until_ours_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from worker.engine.vllm import image_processing

    class Known:
        """What vLLM knows of the inputs of a class."""

        def __init__(self, model_id: str) -> None:
            self.model_id = model_id

        def get_hf_processor(self, **options: object) -> object:
            return "vLLM's", options

        def get_supported_mm_limits(self) -> Mapping[str, int | None]:
            return {"image": 3, "video": None}

    monkeypatch.setattr(image_processing, "_processors", {"first": "ours"})
    info: Any = type("Info", (image_processing._ImagesOnly, Known), {})

    assert info("first").get_hf_processor(size=1) == "ours"
    assert info("second").get_hf_processor(size=1) == ("vLLM's", {"size": 1})
    assert info("second").get_supported_mm_limits() == {"image": 3}
