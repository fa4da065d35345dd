"""Images in prompts of the engine over vLLM, token for token as transformers continues them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from models.media.processor_loading import load_processor
from tests.pictures import picture
from tests.unit.worker.engine.conftest import TOKEN_BYTES, load_engine
from tests.unit.worker.engine.harness import Harness
from tests.unit.worker.engine.vision_oracle import (
    NUM_TOKENS,
    Vision,
    leave_classes_alone,
    tiny_vision,
)
from worker.engine.interface import EngineConfig, GenerationRequest, UnsupportedModelError

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed"),
]

MakeVisionEngine = Callable[..., Harness]

SIZE: dict[str, Any] = {"hidden_size": 128, "head_dim": 32}
"""Size of the networks: with the smallest heads that vLLM computes on CPUs."""
FAMILIES: dict[str, dict[str, Any]] = {"idefics3": {}, "llava": {"model_impl": "transformers"}}
"""Arguments of vLLM by family: one that vLLM has a class for, and one by that of transformers.

The modules of vLLM's classes for others import torchvision, which its environment does not have.
"""
PROMPTS: dict[str, tuple[Any, ...]] = {
    "one": ("Look: <image> What is it?", picture(1)),
    "two": ("<image>Are these <image> alike?", picture(1), picture(2, 30, 50)),
    "none": ("No image at all.",),
    "turns": ("u: <image> what? a: a cat. u: and <image>? a:", picture(3, 64, 24), picture(4)),
    "first": ("<image>: the same text about another image", picture(5)),
    "second": ("<image>: the same text about another image", picture(6)),
}
DEADLINE_S = 120.0


@pytest.fixture(scope="module", params=list(FAMILIES))
def vision(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Vision:
    return tiny_vision(request.param, tmp_path_factory.mktemp(request.param), **SIZE)


@pytest.fixture(scope="module")
def answers(vision: Vision) -> dict[str, list[int]]:
    """Return the continuation of each prompt by `model.generate`."""
    return {name: vision.generate(*prompt) for name, prompt in PROMPTS.items()}


@pytest.fixture(autouse=True)
def as_in_a_fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin and end each test without a processor of ours, as the process of a worker begins."""
    from vllm.multimodal import MULTIMODAL_REGISTRY

    from worker.engine.vllm import image_processing

    leave_classes_alone(monkeypatch)
    register = MULTIMODAL_REGISTRY.register_processor

    def register_for_a_test(*processor: Any, **parts: Any) -> Callable[[Any], Any]:
        def put(model_class: Any) -> Any:
            if own := vars(model_class).get("_processor_factory"):
                monkeypatch.setattr(model_class, "_processor_factory", own)  # to put it back
            return register(*processor, **parts)(model_class)

        return put

    monkeypatch.setattr(MULTIMODAL_REGISTRY, "register_processor", register_for_a_test)
    monkeypatch.setattr(image_processing, "_processors", {})


@pytest.fixture
def make_vision_engine(vision: Vision) -> Iterator[MakeVisionEngine]:
    """Start engines on the network; keywords override the configuration."""
    harnesses: list[Harness] = []

    def make(**overrides: Any) -> Harness:
        settings: dict[str, Any] = {
            "folder": vision.folder,
            "kv_cache_bytes": 4096 * TOKEN_BYTES,
            "max_sequences": 8,
            "num_threads": 1,
            "dtype": "float32",
            "image_sample": vision.request("sample", "<image>?", picture(99, 7, 9)),
            "load_image_processor": load_processor,
        }
        harness = Harness(DEADLINE_S)
        arguments = {
            # So that prompts are computed in parts, also between the tokens of an image.
            "max_num_batched_tokens": 48,
            **FAMILIES[vision.family],
            **overrides.pop("vllm_args", {}),
        }
        config = EngineConfig(**settings | overrides, vllm_args=arguments)
        harness.engine = load_engine("vllm", config, harness.on_step)
        harness.engine.start()
        harnesses.append(harness)
        return harness

    yield make
    for harness in harnesses:
        harness.engine.stop()


def test_prompts_are_continued_as_transformers_does(
    vision: Vision, make_vision_engine: MakeVisionEngine, answers: dict[str, list[int]]
) -> None:
    harness = make_vision_engine()
    requests = {name: vision.request(name, *PROMPTS[name]) for name in PROMPTS}
    choices = [replace(requests["two"], sequence_id=f"choice {number}") for number in range(2)]

    together = harness.run(*requests.values(), *choices)

    assert harness.engine.reads_images
    assert dict(zip(PROMPTS, together, strict=False)) == answers
    assert together[len(PROMPTS) :] == [answers["two"]] * 2
    for cut in range(1, NUM_TOKENS):
        done = answers["turns"][:cut]
        resumed = replace(requests["turns"], sequence_id=f"resumed {cut}", generated=done)
        assert harness.run(resumed) == [answers["turns"][cut:]], cut


def test_what_vllm_puts_off_is_continued_the_same(
    vision: Vision, make_vision_engine: MakeVisionEngine, answers: dict[str, list[int]]
) -> None:
    """Run two answers whose prompts alone fill the cache to its last block."""
    requests = [vision.request(name, *PROMPTS["turns"]) for name in ("it", "other")]
    requests = [replace(each, cache_salt=each.sequence_id.encode()) for each in requests]
    num_blocks = 2 * -(-len(requests[0].prompt) // 32) + 1  # vLLM leaves one empty
    harness = make_vision_engine(kv_cache_bytes=num_blocks * 32 * TOKEN_BYTES)

    found = harness.run(*requests)

    assert found == [answers["turns"]] * 2
    assert harness.num_pauses > 0


def test_a_prefix_is_found_again_for_the_same_images_and_project_alone(
    vision: Vision, make_vision_engine: MakeVisionEngine
) -> None:
    harness = make_vision_engine()
    long = "<image>: " + "the same text about another image, again and again. " * 2

    def num_cached(name: str, seed: int, salt: bytes) -> int:
        request = vision.request(name, long, picture(seed), cache_salt=salt)
        harness.run(request)
        return harness.deltas[name][-1].num_cached_tokens

    found = [
        num_cached("first", 5, b"a"),
        num_cached("again", 5, b"a"),
        num_cached("another image", 6, b"a"),
        num_cached("another project", 5, b"b"),
        num_cached("again there", 5, b"b"),
    ]

    assert found[0] == found[2] == found[3] == 0
    assert found[1] == found[4] >= 96


def with_wrong_tokens(request: GenerationRequest) -> GenerationRequest:
    """Return a request whose prompt has a token less for its image."""
    [image] = request.images
    prompt = [*request.prompt[: image.positions[0]], *request.prompt[image.positions[0] + 1 :]]
    return replace(request, prompt=prompt, images=[replace(image, positions=image.positions[1:])])


def test_a_prompt_with_other_tokens_for_an_image_harms_only_its_own_request(
    vision: Vision, make_vision_engine: MakeVisionEngine, answers: dict[str, list[int]]
) -> None:
    harness = make_vision_engine()
    good = vision.request("good", *PROMPTS["one"])

    with pytest.raises(ValueError, match="tokens with features where the prompt has"):
        harness.engine.submit(with_wrong_tokens(good))

    assert harness.run(good) == [answers["one"]]


def test_images_whose_tokens_vllm_counts_otherwise_are_not_taken(
    vision: Vision,
    make_vision_engine: MakeVisionEngine,
    answers: dict[str, list[int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    sample = vision.request("sample", "<image>?", picture(99, 7, 9))

    harness = make_vision_engine(image_sample=with_wrong_tokens(sample))

    assert not harness.engine.reads_images
    assert "no images: vLLM prepares them otherwise" in caplog.text
    with pytest.raises(ValueError, match="takes no images"):
        harness.engine.submit(vision.request("it", *PROMPTS["one"]))
    assert harness.run(vision.request("none", *PROMPTS["none"])) == [answers["none"]]


def no_processor(_folder: Path) -> None:
    raise OSError("no processor in this folder")


@pytest.mark.parametrize(
    "overrides",
    [
        {"image_sample": None, "load_image_processor": None},
        {"load_image_processor": no_processor},
        {"vllm_args": {"language_model_only": True}},
    ],
    ids=["no images", "no processor", "text alone by setting"],
)
def test_a_model_without_images_serves_text(
    vision: Vision,
    make_vision_engine: MakeVisionEngine,
    answers: dict[str, list[int]],
    overrides: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    harness = make_vision_engine(**overrides)

    assert not harness.engine.reads_images
    assert harness.run(vision.request("none", *PROMPTS["none"])) == [answers["none"]]
    with pytest.raises(ValueError, match="takes no images"):
        harness.engine.submit(vision.request("it", *PROMPTS["one"]))
    if overrides.get("load_image_processor") is no_processor:
        assert "no images: vLLM cannot prepare them" in caplog.text


def test_images_that_vllm_cannot_compute_are_refused_at_load(
    make_vision_engine: MakeVisionEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vllm.v1.engine.llm_engine import LLMEngine

    def fail(_engine: LLMEngine) -> None:
        raise RuntimeError("no kernel for it")

    monkeypatch.setattr(LLMEngine, "step", fail)

    with pytest.raises(UnsupportedModelError, match=r"no kernel for it; with language_model_only"):
        make_vision_engine()
