"""Images in prompts, compared with the output of transformers' own networks."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.pictures import picture
from tests.unit.worker.engine.conftest import TOKEN_BYTES
from tests.unit.worker.engine.harness import Harness
from tests.unit.worker.engine.vision_oracle import NUM_TOKENS, Vision, tiny_vision
from worker.engine.interface import (
    EngineConfig,
    FinishReason,
    GenerationRequest,
    UnsupportedModelError,
)
from worker.engine.transformers.engine import TransformersEngine
from worker.engine.transformers.openvino.compiled_graph import image_inputs

MakeVisionEngine = Callable[..., Harness]


@pytest.fixture(scope="module", params=["llava", "qwen3_vl"])
def vision(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Vision:
    return tiny_vision(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def make_vision_engine(vision: Vision, forward: str) -> Iterator[MakeVisionEngine]:
    harnesses: list[Harness] = []

    def make(**overrides: Any) -> Harness:
        settings: dict[str, Any] = {"max_sequences": 8, "num_threads": 1}
        settings["kv_cache_bytes"] = 1024 * TOKEN_BYTES
        settings |= {"dtype": "float32", "forward": forward}
        settings["graph_folder"] = vision.folder / "openvino"
        settings["image_sample"] = vision.request("sample", "<image>?", picture(99, 7, 9))
        config = EngineConfig(folder=vision.folder, **{**settings, **overrides})
        harness = Harness()
        harness.engine = TransformersEngine(config, harness.on_step)
        harness.engine.start()
        harnesses.append(harness)
        return harness

    yield make
    for harness in harnesses:
        harness.engine.stop()


PROMPTS: dict[str, tuple[str, *tuple[Image.Image, ...]]] = {
    "one": ("Look: <image> What is it?", picture(1)),
    "two": ("<image>Are these <image> alike?", picture(1), picture(2, 30, 50)),
    "none": ("No image at all.",),
}


@pytest.mark.parametrize("budget", [512, 16], ids=["whole prompts", "chunks of one block"])
def test_prompts_with_images_are_continued_as_transformers_does(
    vision: Vision, make_vision_engine: MakeVisionEngine, budget: int
) -> None:
    harness = make_vision_engine(max_batch_tokens=budget)

    answers = harness.run(*(vision.request(name, *PROMPTS[name]) for name in PROMPTS))

    assert answers == [vision.generate(*PROMPTS[name]) for name in PROMPTS]


def test_the_answer_depends_on_the_image(vision: Vision) -> None:
    answers = {tuple(vision.generate("<image>?", picture(seed))) for seed in range(4)}

    assert len(answers) > 1


def test_a_prefix_is_found_again_only_with_the_same_image(
    vision: Vision, make_vision_engine: MakeVisionEngine
) -> None:
    harness = make_vision_engine()
    text = "<image> is what I am looking at."
    others = [vision.request(str(seed), text, picture(seed)) for seed in range(1, 4)]

    first = harness.run(vision.request("first", text, picture(0)))
    again = harness.run(vision.request("again", text, picture(0)))
    harness.run(*others)

    assert again == first
    assert harness.deltas["again"][0].num_cached_tokens >= 16
    for seed in range(1, 4):
        assert harness.deltas[str(seed)][0].num_cached_tokens == 0
        assert harness.tokens(str(seed)) == vision.generate(text, picture(seed))


def test_features_are_computed_once_for_each_project(
    vision: Vision,
    make_vision_engine: MakeVisionEngine,
    monkeypatch: pytest.MonkeyPatch,
    forward: str,
) -> None:
    harness = make_vision_engine()
    engine: Any = harness.engine
    compute: Any = engine._runner._compute
    encoder = compute._images if forward == "openvino" else compute._image_encoder
    model = encoder._model
    calls: list[int] = []
    get_image_features = model.get_image_features

    def counted(**inputs: Any) -> Any:
        calls.append(1)
        return get_image_features(**inputs)

    monkeypatch.setattr(model, "get_image_features", counted)

    for name, salt in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        harness.run(vision.request(name, "<image>", picture(5), cache_salt=salt))

    assert len(calls) == 2


def test_a_preempted_prompt_with_an_image_is_continued_alike(
    vision: Vision, make_vision_engine: MakeVisionEngine
) -> None:
    names = list("abcd")
    texts = {name: f"{name}<image>" for name in names}
    harness = make_vision_engine(kv_cache_bytes=128 * TOKEN_BYTES)

    answers = harness.run(*(vision.request(name, texts[name], picture(1)) for name in names))

    assert answers == [vision.generate(texts[name], picture(1)) for name in names]


def test_an_engine_without_a_sample_refuses_images_and_serves_text(
    vision: Vision, make_vision_engine: MakeVisionEngine
) -> None:
    harness = make_vision_engine(image_sample=None)

    with pytest.raises(ValueError, match="takes no images"):
        harness.engine.submit(vision.request("it", "<image>", picture(1)))

    assert harness.run(vision.request("text", "Only text.")) == [vision.generate("Only text.")]


def test_too_few_tokens_for_an_image_harm_only_their_own_request(
    vision: Vision, make_vision_engine: MakeVisionEngine
) -> None:
    harness = make_vision_engine()
    good = vision.request("bad", "<image>", picture(1))
    [image] = good.images
    short = replace(image, digest=b"short", positions=image.positions[1:])
    bad = GenerationRequest(
        sequence_id="bad", prompt=good.prompt, params=good.params, images=[short]
    )

    with pytest.raises(ValueError, match="image features"):
        harness.engine.submit(bad)

    harness.run(good)
    assert harness.reason("bad") is FinishReason.LENGTH


def test_a_network_that_sees_images_otherwise_is_refused(
    vision: Vision, make_vision_engine: MakeVisionEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "worker.engine.transformers.model.image_placement.ImagePlacement._replace",
        lambda placement, module, inputs, output: output,
    )
    monkeypatch.setattr(
        "worker.engine.transformers.openvino.compiled_graph.image_inputs",
        lambda images, shapes: image_inputs([], shapes),
    )

    with pytest.raises(UnsupportedModelError, match="way of its own"):
        make_vision_engine()


@pytest.mark.parametrize("forward", ["openvino"], indirect=True)
def test_images_that_openvino_would_compute_wrongly_are_computed_in_torch(
    vision: Vision,
    make_vision_engine: MakeVisionEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(
        "worker.engine.transformers.openvino.compiled_graph.image_inputs",
        lambda images, shapes: image_inputs([], shapes),
    )

    [answer] = make_vision_engine(forward="auto").run(vision.request("one", *PROMPTS["one"]))

    assert answer == vision.generate(*PROMPTS["one"])
    assert "computing in torch: it sees images in a way of its own" in caplog.text


def test_a_text_model_takes_no_image_sample(folder: Path, vision: Vision, forward: Any) -> None:
    sample = vision.request("sample", "<image>", picture(1))
    config = EngineConfig(
        folder=folder,
        kv_cache_bytes=1024 * TOKEN_BYTES,
        max_sequences=1,
        forward=forward,
        dtype="float32",
        image_sample=sample,
    )

    with pytest.raises(UnsupportedModelError, match="no vision network"):
        TransformersEngine(config, lambda deltas: None)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_a_type_that_rounds_takes_images_too(
    vision: Vision, make_vision_engine: MakeVisionEngine, dtype: str
) -> None:
    [answer] = make_vision_engine(dtype=dtype).run(vision.request("one", *PROMPTS["one"]))

    assert len(answer) == NUM_TOKENS
