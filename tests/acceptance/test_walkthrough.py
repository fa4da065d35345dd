"""First steps of a new user, with the official client and the default weights."""

import json
import subprocess
import time
from typing import Any

import pytest
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI
from openai.types.responses import Response, ResponseFormatTextJSONSchemaConfigParam

from tests.acceptance.server import AntiphonServer
from tests.openai_objects import response_of, usage_of
from tests.polling import eventually

TERMINAL = ("completed", "incomplete", "failed", "cancelled")
MODEL = "SmolLM2-135M-Instruct"


@pytest.fixture
def client(server: AntiphonServer) -> OpenAI:
    return server.client()


def poll(client: OpenAI, response_id: str, timeout_s: float = 60) -> Response:
    eventually(
        lambda: client.responses.retrieve(response_id).status in TERMINAL, within_s=timeout_s
    )
    return client.responses.retrieve(response_id)


def post(client: OpenAI, body: dict[str, Any]) -> Any:
    """Return the parsed answer to a request with fields that the client does not know."""
    return client.post("/responses", body=body, cast_to=object)


def body_of(refusal: pytest.ExceptionInfo[APIStatusError]) -> Any:
    """Return the parsed body of an error answer."""
    return refusal.value.body


def test_the_curl_of_the_banner_answers(server: AntiphonServer) -> None:
    command = server.output[server.output.index("curl ") :].split("\n\n")[0]

    answer = subprocess.run(["bash", "-c", command], capture_output=True, check=True)

    response = json.loads(answer.stdout)
    assert response["status"] in ("completed", "incomplete")
    assert response["output"][0]["content"][0]["text"]


def test_a_background_response_is_queued_and_then_completed(client: OpenAI) -> None:
    queued = client.responses.create(
        model=MODEL, input="What is the capital of France?", background=True, temperature=0
    )

    done = poll(client, queued.id)

    assert queued.status == "queued"
    assert done.status == "completed"
    assert "Paris" in done.output_text
    usage = usage_of(done)
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens


def test_a_background_stream_tells_every_step_from_queued_to_completed(client: OpenAI) -> None:
    stream = client.responses.create(
        model=MODEL,
        input="What is the capital of France?",
        background=True,
        stream=True,
        temperature=0,
    )

    events = list(stream)

    types = [event.type for event in events]
    assert types[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert types[-1] == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == response_of(events[-1]).output_text


def test_a_stream_dropped_after_five_events_resumes_with_exactly_the_rest(client: OpenAI) -> None:
    stream = client.responses.create(
        model=MODEL,
        input="Tell me about rivers.",
        background=True,
        stream=True,
        max_output_tokens=60,
    )
    first = [next(iter(stream)) for _ in range(5)]
    stream.close()
    response_id = response_of(first[0]).id

    rest = list(client.responses.retrieve(response_id, stream=True, starting_after=4))

    numbers = [event.sequence_number for event in (*first, *rest)]
    assert numbers == list(range(len(numbers)))
    assert rest[-1].type in ("response.completed", "response.incomplete")
    replayed = list(client.responses.retrieve(response_id, stream=True))
    assert replayed == [*first, *rest]


def test_a_second_turn_sees_the_first(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="The password is swordfish.", temperature=0)

    second = client.responses.create(
        model=MODEL,
        input="What is the password?",
        previous_response_id=first.id,
        temperature=0,
        max_output_tokens=40,
    )

    assert "swordfish" in second.output_text.lower()
    assert usage_of(second).input_tokens > usage_of(first).total_tokens


def test_cancel_stops_a_running_generation_and_waits_for_no_end(client: OpenAI) -> None:
    stream = client.responses.create(
        model=MODEL,
        input="Write a very long story about the sea.",
        background=True,
        stream=True,
        temperature=1.0,
        text={"format": LONG_FORMAT},
    )
    events = iter(stream)
    response_id = response_of(next(events)).id
    while next(events).type != "response.output_text.delta":
        pass

    began = time.monotonic()
    cancelled = client.responses.cancel(response_id)
    took_s = time.monotonic() - began

    assert cancelled.status == "cancelled"
    assert took_s < 10
    rest = list(events)
    assert response_of(rest[-1]).status == "cancelled"
    assert client.responses.cancel(response_id).status == "cancelled"
    assert client.responses.retrieve(response_id).status == "cancelled"


LONG_FORMAT: ResponseFormatTextJSONSchemaConfigParam = {
    "type": "json_schema",
    "name": "long",
    "schema": {"type": "array", "items": {"type": "integer"}, "minItems": 700},
}
"""Format of at least 700 numbers, so that the model cannot finish before it is cancelled."""


def test_structured_output_is_an_instance_of_its_schema(client: OpenAI) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "age": {"type": "integer"}},
        "required": ["city", "age"],
        "additionalProperties": False,
    }

    response = client.responses.create(
        model=MODEL,
        input="Describe a city.",
        text={"format": {"type": "json_schema", "name": "city", "schema": schema}},
        max_output_tokens=200,
    )

    assert set(json.loads(response.output_text)) == {"city", "age"}


def test_equal_seeds_give_equal_text(client: OpenAI) -> None:
    request = {"model": MODEL, "input": "Sing!", "seed": 7, "max_output_tokens": 20}

    first, second = (post(client, request) for _ in range(2))

    assert first["output"][0]["content"] == second["output"][0]["content"]


def test_an_unknown_model_is_refused_by_name(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as refusal:
        client.responses.create(model="no-such-model", input="hi")

    assert body_of(refusal)["param"] == "model"
    assert body_of(refusal)["code"] == "model_not_found"


def test_a_prompt_beyond_the_context_is_refused_before_it_is_queued(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refusal:
        client.responses.create(model=MODEL, input="word " * 20_000, background=True)

    assert body_of(refusal)["code"] == "context_length_exceeded"
    assert body_of(refusal)["param"] == "input"


def test_a_schema_that_cannot_be_compiled_is_refused(client: OpenAI) -> None:
    bad: ResponseFormatTextJSONSchemaConfigParam = {
        "type": "json_schema",
        "name": "bad",
        "schema": {"type": "stsring"},
    }

    with pytest.raises(BadRequestError) as refusal:
        client.responses.create(model=MODEL, input="hi", text={"format": bad})

    assert body_of(refusal)["param"] == "text.format.schema"


def test_a_deleted_response_is_gone(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="hi", max_output_tokens=5)

    client.responses.delete(response.id)

    with pytest.raises(NotFoundError):
        client.responses.retrieve(response.id)
