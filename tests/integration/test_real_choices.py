"""Choices and log-probabilities of a real engine, read by the official client over HTTP."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from openai.types.responses import Response, ResponseOutputText
from openai.types.responses.response_output_text import Logprob
from werkzeug.serving import make_server

from models.settings import Settings
from tests.integration.conftest import MakeWorker, running_app
from tests.integration.desk import Desk
from tests.openai_objects import text_part_of, usage_of
from tests.polling import eventually
from tests.tiny_model import save_tiny_model
from worker.engine.interface import Delta
from worker.engine.transformers.engine import TransformersEngine
from worker.maintenance.maintenance import Maintenance
from worker.process.timings import WorkerTimings

LETTERS = {"type": "regex", "value": "[a-z ]{40}"}
_PROMPT = "A prompt that fills more than two blocks of the cache: it has 80 characters or so."


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def settings(settings: Settings, tiny_model: Path) -> Settings:
    real = {"engine": "transformers", "model": str(tiny_model), "dtype": "float32"}
    return settings.model_copy(update=real | {"kv_cache_gib": 0.01})


@pytest.fixture
def openai(settings: Settings) -> Iterator[OpenAI]:
    """Return the official client of an API on a real port."""
    with running_app(settings) as app:
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none") as client:
            yield client
        server.shutdown()
        thread.join()
        server.server_close()


def ask(openai: OpenAI, n: int, **fields: Any) -> Any:
    return openai.responses.create(
        input=_PROMPT,
        extra_body={"n": n, "seed": 7, "grammar": LETTERS},
        temperature=1,
        **fields,
    )


def texts_of(response: Response) -> list[str]:
    return [text_part_of(item).text for item in response.output]


def logprobs_of(part: ResponseOutputText) -> list[Logprob]:
    assert part.logprobs is not None
    return part.logprobs


def wait_until_completed(openai: OpenAI, response: Response) -> Response:
    eventually(lambda: openai.responses.retrieve(response.id).status == "completed")
    return openai.responses.retrieve(response.id)


def test_a_stream_of_choices_with_log_probabilities(
    openai: OpenAI, make_worker: MakeWorker
) -> None:
    make_worker()
    asked: dict[str, Any] = {"include": ["message.output_text.logprobs"], "top_logprobs": 3}

    events = list(ask(openai, 4, stream=True, **asked))
    alone = ask(openai, 1, **asked)

    whole: Response = events[-1].response
    assert len(set(texts_of(whole))) == 4
    assert texts_of(whole)[0] == texts_of(alone)[0]
    assert usage_of(whole).output_tokens == 160
    for index, item in enumerate(whole.output):
        part = text_part_of(item)
        deltas = [
            event
            for event in events
            if event.type == "response.output_text.delta" and event.output_index == index
        ]
        assert "".join(event.delta for event in deltas) == part.text
        logprobs = [each for event in deltas for each in event.logprobs]
        assert "".join(each.token for each in logprobs) == part.text
        assert [each.logprob for each in logprobs] == [each.logprob for each in logprobs_of(part)]
        for each in logprobs_of(part):
            top = [other.logprob for other in each.top_logprobs]
            assert each.logprob <= top[0] <= 0
            assert top == sorted(top, reverse=True)
            assert len(top) == 3


def test_choices_go_on_exactly_where_a_lost_worker_left_them(
    openai: OpenAI,
    make_worker: MakeWorker,
    unaware_timings: WorkerTimings,
    desk: Desk,
    maintenance: Maintenance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, Any] = {"include": ["message.output_text.logprobs"], "background": True}
    with monkeypatch.context() as patch:
        patch.setattr(TransformersEngine, "_step", _slowly(TransformersEngine._step))
        make_worker(timings=unaware_timings)
        response = ask(openai, 3, **asked)
        seen = []
        for event in openai.responses.retrieve(response.id, stream=True):
            seen.append(event)
            if len(seen) == 30:
                break
        desk.lapse_leases()
        maintenance.reclaim()

    second = make_worker()
    second.run_queued().result()

    undisturbed = ask(openai, 3, **asked)
    # The first worker may have taken the wake-up although it can claim nothing any more.
    second.run_queued().result()
    resumed, whole = (wait_until_completed(openai, each) for each in (response, undisturbed))
    assert resumed.status == "completed"
    assert texts_of(resumed) == texts_of(whole)
    assert usage_of(resumed).output_tokens == usage_of(whole).output_tokens
    for mine, theirs in zip(resumed.output, whole.output, strict=True):
        assert [each.logprob for each in logprobs_of(text_part_of(mine))] == pytest.approx(
            [each.logprob for each in logprobs_of(text_part_of(theirs))], abs=1e-4
        )
    replayed = list(openai.responses.retrieve(response.id, stream=True))
    assert replayed[: len(seen)] == seen


def _slowly(step: Any) -> Any:
    def slow(engine: TransformersEngine) -> list[Delta]:
        threading.Event().wait(0.03)
        deltas: list[Delta] = step(engine)
        return deltas

    return slow
