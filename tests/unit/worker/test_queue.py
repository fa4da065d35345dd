"""The queue of wake-ups: its names."""

import re

import pytest

from models.profile.weights import SCRIPTED_MODEL
from worker.queue import WakeQueue, queue_name


def test_a_model_has_the_same_queue_in_every_process() -> None:
    assert queue_name(SCRIPTED_MODEL) == "antiphon.2b6560b3de58a065"


def test_models_with_similar_names_have_different_queues() -> None:
    models = ["a", "A", "a ", "a/b", "a--b", "a\n", "ä", ""]

    assert len({queue_name(model) for model in models}) == len(models)


@pytest.mark.parametrize("model", ["a,b", "a b*", "owner/name@main", "m" * 1000, "\N{SNOWMAN}"])
def test_a_queues_name_is_harmless_whatever_the_model_is_called(model: str) -> None:
    assert re.fullmatch(r"antiphon\.[0-9a-f]{16}", queue_name(model))


def test_a_wake_up_that_cannot_be_sent_is_no_error() -> None:
    wake_queue = WakeQueue("redis://127.0.0.1:1")

    assert not wake_queue.wake(SCRIPTED_MODEL)

    wake_queue.close()
