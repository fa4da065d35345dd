"""Families of vision models: images in prompts, token for token as transformers continues them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.pictures import picture
from tests.unit.worker.engine.conftest import TOKEN_BYTES
from tests.unit.worker.engine.harness import Harness
from tests.unit.worker.engine.vision_oracle import NUM_TOKENS, Vision, tiny_vision
from tests.vision_families.table import FAMILIES
from worker.engine.interface import EngineConfig
from worker.engine.transformers.engine import TransformersEngine

PROMPTS: dict[str, tuple[Any, ...]] = {
    "one": ("Look: <image> What is it?", picture(1)),
    "two": ("<image>Are these <image> alike?", picture(1), picture(2, 30, 50)),
    "none": ("No image at all.",),
    "turns": ("u: <image> what? a: a cat. u: and <image>? a:", picture(3, 64, 24), picture(4)),
    "first": ("<image>: the same text about another image", picture(5)),
    "second": ("<image>: the same text about another image", picture(6)),
}


@pytest.fixture(scope="module", params=list(FAMILIES))
def vision(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Vision:
    return tiny_vision(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def answers(vision: Vision) -> dict[str, list[int]]:
    """Return the continuation of each prompt by `model.generate`."""
    return {name: vision.generate(*prompt) for name, prompt in PROMPTS.items()}


@pytest.fixture(params=["torch", pytest.param("auto", marks=pytest.mark.nightly)])
def forward(request: pytest.FixtureRequest) -> Any:
    """Return the setting of the forward pass; `test_vision.py` tests OpenVINO for every change."""
    return request.param


@pytest.fixture
def harness(vision: Vision, forward: Any) -> Iterator[Harness]:
    """Start an engine whose steps have few tokens, so that images are computed in parts."""
    harness = Harness()
    config = EngineConfig(
        folder=vision.folder,
        kv_cache_bytes=2048 * TOKEN_BYTES,
        max_sequences=8,
        max_batch_tokens=48,
        num_threads=1,
        dtype="float32",
        forward=forward,
        graph_folder=vision.folder / "openvino",
        image_sample=vision.request("sample", "<image>?", picture(99, 7, 9)),
    )
    harness.engine = TransformersEngine(config, harness.on_step)
    harness.engine.start()
    yield harness
    harness.engine.stop()


def preempt_now_and_then(harness: Harness) -> list[str]:
    """Preempt the youngest sequence in every fourth step; return a list of those, to be filled."""
    preempted = harness.count_preemptions()
    scheduler: Any = harness.engine._scheduler  # type: ignore[attr-defined]

    def preempt(_: Any) -> None:
        if len(harness.steps) % 4 == 0 and len(scheduler.running) > 1:
            scheduler._preempt_youngest()

    harness.on_step_hook = preempt
    return preempted


@pytest.mark.nightly
@pytest.mark.parametrize("forward", ["auto"], indirect=True)
def test_openvino_computes_the_families_that_it_can(vision: Vision, harness: Harness) -> None:
    engine: Any = harness.engine

    is_in_openvino = type(engine._runner._compute).__name__ == "OpenVinoForward"

    assert is_in_openvino == FAMILIES[vision.family].in_openvino


def test_prompts_are_continued_as_transformers_does(
    vision: Vision, harness: Harness, answers: dict[str, list[int]]
) -> None:
    preempted = preempt_now_and_then(harness)
    requests = [vision.request(name, *PROMPTS[name]) for name in PROMPTS]
    choices = [replace(requests[1], sequence_id=f"choice {number}") for number in range(3)]

    together = harness.run(*requests, *choices)
    again = harness.run(replace(requests[3], sequence_id="again"))

    assert dict(zip(PROMPTS, together, strict=False)) == answers
    assert together[len(PROMPTS) :] == [answers["two"]] * 3
    assert again == [answers["turns"]]
    assert len(preempted) > 2
    for cut in (1, 5, NUM_TOKENS - 1):
        name, done = f"resumed {cut}", answers["turns"][:cut]
        resumed = replace(requests[3], sequence_id=name, generated=done)
        assert harness.run(resumed) == [answers["turns"][cut:]]
