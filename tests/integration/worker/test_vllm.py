"""Responses of a worker with vLLM: those of our own engine, and with its guarantees.

`make test-vllm` runs it where vLLM is, which needs an environment of its own.
"""

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from models.ids import parse_response_id
from models.profile.weights import served_model_id
from models.responses.status import TERMINAL
from models.settings import Settings
from models.vllm_args import VllmArgs
from tests.integration.api.requests import (
    create,
    create_and_wait,
    events,
    stream,
    text_of,
    wait_for_end,
    wait_for_text,
)
from tests.integration.conftest import MakeWorker
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from tests.polling import eventually
from tests.tiny_model import save_tiny_model
from worker.process.timings import WorkerTimings

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed"),
]

LONG = "Once upon a time there was a prompt that fills more than one block of the cache. " * 2
ENDLESS: dict[str, Any] = {"max_output_tokens": 250, "ignore_eos": True, "temperature": 0.8}

_PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 5}, "age": {"enum": [1, 22]}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
_FUNCTION = {"type": "function", "name": "f", "strict": True, "parameters": _PERSON}
REQUESTS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0},
    "cut": {"temperature": 1.3, "top_p": 0.8, "top_k": 30, "min_p": 0.01},
    "penalised": {
        "frequency_penalty": 0.7,
        "presence_penalty": 0.3,
        "repetition_penalty": 1.2,
        "logit_bias": {"65": 4, "66": -100},
    },
    "DRY": {
        "temperature": 0,
        "dry_multiplier": 3.0,
        "dry_allowed_length": 1,
        "dry_sequence_breakers": ["\n", "abc", "e "],
    },
    "log probabilities": {"top_logprobs": 4, "include": ["message.output_text.logprobs"]},
    "choices": {"n": 3},
    "stop strings": {"stop": ["a", "e"], "logit_bias": {"65": 4, "69": 4}},
    "end token": {"ignore_eos": False, "logit_bias": {"256": 5}},
    "schema": {"text": {"format": {"type": "json_schema", "name": "a", "schema": _PERSON}}},
    "forced call": {
        "tools": [_FUNCTION],
        "tool_choice": {"type": "function", "name": "f"},
        "max_output_tokens": 120,
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a random Llama with the smallest heads that vLLM computes on CPUs."""
    path = tmp_path_factory.mktemp("tiny")
    return save_tiny_model(path, head_dim=32, max_position_embeddings=4096)


@pytest.fixture
def settings(settings: Settings, folder: Path) -> Settings:
    update = {
        "engine": "vllm",
        "model": str(folder),
        "dtype": "float32",
        "kv_cache_gib": 0.01,
        "threads": 1,
        "vllm_args": VllmArgs(block_size=32),
    }
    return settings.model_copy(update=update)


@pytest.fixture
def make_worker(make_worker: MakeWorker, app: OpenAPI) -> MakeWorker:
    """Return the function that starts workers, with the app that vLLM may look for.

    When vLLM loads a model, it looks at all objects of all modules, also at Flask's proxies.
    """

    def make(*, timings: WorkerTimings | None = None, **changes: Any) -> InProcessWorker:
        with app.test_request_context():
            return make_worker(timings=timings, **changes)

    return make


@pytest.fixture
def ask(http: FlaskClient) -> Callable[..., dict[str, Any]]:
    def create_one(**fields: Any) -> dict[str, Any]:
        body = {"input": "Tell me.", "seed": 7, "max_output_tokens": 40, "ignore_eos": True}
        return create_and_wait(http, **body | fields)

    return create_one


def told(response: dict[str, Any]) -> dict[str, Any]:
    """Return what a response says, without ids and times."""
    output = [{**item, "id": None, "call_id": None} for item in response["output"]]
    keys = ("status", "incomplete_details", "error", "choices")
    usage = {name: response["usage"][name] for name in ("input_tokens", "output_tokens")}
    return {"output": output, "usage": usage, **{key: response.get(key) for key in keys}}


def rounded(value: Any) -> Any:
    """Return it with log probabilities rounded to what float32 tells in any order of sums."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return pytest.approx(value, abs=1e-3) if isinstance(value, float) else value


def test_every_field_means_what_it_means_with_our_own_engine(
    make_worker: MakeWorker, ask: Callable[..., dict[str, Any]]
) -> None:
    with_vllm = make_worker()
    answers = {name: told(ask(**fields)) for name, fields in REQUESTS.items()}
    with_vllm.drain()

    make_worker(engine="transformers", forward="torch", vllm_args=VllmArgs())
    ours = {name: told(ask(**fields)) for name, fields in REQUESTS.items()}

    for name in REQUESTS:
        assert answers[name] == rounded(ours[name]), name
    assert answers["forced call"]["output"][-1]["type"] == "function_call"
    assert len({str(told) for told in answers.values()}) == len(REQUESTS)


def test_a_prompt_is_found_in_the_cache_by_its_own_project_alone(
    make_worker: MakeWorker, desk: Desk, settings: Settings, ask: Callable[..., dict[str, Any]]
) -> None:
    worker = make_worker()
    other = desk.add_project("other")

    def num_cached_of_other() -> int:
        response = desk.create(
            LONG,
            project_id=other,
            model=served_model_id(settings),
            parameters={"max_output_tokens": 4, "temperature": 0.0, "top_p": 1.0},
        )
        worker.run_queued()
        eventually(lambda: desk.status(response) in TERMINAL)
        found = desk.store.responses.get(other, response.id)
        assert found is not None
        assert found.usage is not None
        return int(found.usage["input_tokens_details"]["cached_tokens"])

    def num_cached() -> int:
        usage = ask(input=LONG, max_output_tokens=4)["usage"]
        return int(usage["input_tokens_details"]["cached_tokens"])

    found = [num_cached(), num_cached(), num_cached_of_other(), num_cached_of_other()]

    assert found[0] == found[2] == 0
    assert 96 <= found[1] <= len(LONG)
    assert found[3] >= 96


def test_what_is_handed_back_goes_on_in_another_worker_with_the_same_text(
    http: FlaskClient, make_worker: MakeWorker, desk: Desk
) -> None:
    first = make_worker(drain_seconds=0)
    undisturbed = create_and_wait(http, **ENDLESS, seed=3)
    running = create(http, **ENDLESS, seed=3)
    wait_for_text(http, running["id"])

    first.drain()
    handed_back = desk.sql("SELECT attempt, num_crashes FROM responses WHERE status = 'queued'")
    make_worker()

    assert handed_back == [(1, 0)]
    ended = wait_for_end(http, running["id"])
    assert told(ended) == told(undisturbed)
    assert desk.sql("SELECT attempt FROM responses ORDER BY id DESC LIMIT 1") == [(2,)]
    check_stream(http, running["id"], text_of(undisturbed))


def test_flex_is_put_off_and_goes_on_with_the_same_text(
    http: FlaskClient, make_worker: MakeWorker, desk: Desk, worker_timings: WorkerTimings
) -> None:
    make_worker(max_sequences=1, timings=replace(worker_timings, preempt_s=0.02))
    undisturbed = create_and_wait(http, **ENDLESS, seed=3)
    flex = create(http, **ENDLESS, seed=3, service_tier="flex")
    wait_for_text(http, flex["id"])

    urgent = create(http, input="Now.", service_tier="priority", max_output_tokens=3)

    wait_for_end(http, urgent["id"])
    ended = wait_for_end(http, flex["id"])
    flex_id = parse_response_id(flex["id"])
    found = desk.sql("SELECT attempt, num_crashes FROM responses WHERE id = %s", flex_id)
    assert found == [(2, 0)]
    assert told(ended) == told(undisturbed)
    check_stream(http, flex["id"], text_of(undisturbed))


def test_a_cancelled_response_ends_and_leaves_the_others(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker()
    undisturbed = create_and_wait(http, **ENDLESS, seed=3)
    cancelled, other = create(http, **ENDLESS, seed=4), create(http, **ENDLESS, seed=3)
    wait_for_text(http, cancelled["id"])

    http.post(f"/v1/responses/{cancelled['id']}/cancel")

    assert wait_for_end(http, cancelled["id"])["status"] == "cancelled"
    assert told(wait_for_end(http, other["id"])) == told(undisturbed)


def check_stream(http: FlaskClient, response_id: str, text: str) -> None:
    """Check that a stream has every event once, and the text."""
    seen = events(stream(http, response_id))
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    deltas = (event["delta"] for event in seen if event["type"] == "response.output_text.delta")
    assert "".join(deltas) == text
