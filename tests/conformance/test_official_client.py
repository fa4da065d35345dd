"""The official client beyond chains of turns: conversations, token counts, compaction."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from flask_openapi3.openapi import OpenAPI
from openai import OpenAI

from tests.integration.http_server import serving


@pytest.fixture
def client(app: OpenAPI) -> Iterator[OpenAI]:
    with serving(app) as address, OpenAI(base_url=f"http://{address}/v1", api_key="none") as made:
        yield made


@pytest.mark.usefixtures("worker")
def test_a_conversation_goes_on_turn_by_turn(client: OpenAI) -> None:
    conversation = client.conversations.create(
        items=[{"type": "message", "role": "user", "content": "One."}], metadata={"a": "b"}
    )
    answer = client.responses.create(input="Two.", conversation=conversation.id)

    listed = list(client.conversations.items.list(conversation.id, limit=2, order="asc"))

    assert answer.conversation is not None
    assert answer.conversation.id == conversation.id
    assert [item.type for item in listed] == ["message"] * 3
    assert listed[2].id == answer.output[0].id
    assert listed[0].id is not None
    assert listed[2].id is not None
    assert client.conversations.items.retrieve(listed[2].id, conversation_id=conversation.id)
    client.conversations.items.delete(listed[0].id, conversation_id=conversation.id)
    assert client.conversations.update(conversation.id, metadata={}).metadata == {}
    assert client.conversations.delete(conversation.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(conversation.id)


@pytest.mark.usefixtures("worker")
def test_input_is_counted_compacted_and_listed(client: OpenAI) -> None:
    counted = client.responses.input_tokens.count(model="scripted", input="Hello.")
    compacted = client.responses.compact(model="scripted", input="We launch on Tuesday.")
    # Output items are accepted as input unchanged.
    output: list[Any] = [item.to_dict(warnings=False) for item in compacted.output]
    answer = client.responses.create(input=[*output, {"role": "user", "content": "Go on."}])

    listed = list(client.responses.input_items.list(answer.id, limit=2, order="asc"))

    assert counted.input_tokens == len("Hello.")
    assert compacted.output[0].type == "compaction"
    assert [item.type for item in listed] == ["compaction", "message", "message"]
    assert answer.status == "completed"


@pytest.mark.usefixtures("worker")
def test_a_long_conversation_is_compacted_as_it_goes_on(client: OpenAI) -> None:
    items: list[Any] = [{"role": "user", "content": "We launch on Tuesday."}]
    kinds = []
    for question in ("When?", "Where?"):
        answer = client.responses.create(
            input=items,
            store=False,
            context_management=[{"type": "compaction", "compact_threshold": 60}],
        )
        kinds.append([item.type for item in answer.output])
        items += [item.model_dump() for item in answer.output]
        items.append({"role": "user", "content": question})

    assert kinds == [["message"], ["compaction", "message"]]
    assert client.responses.create(input=items).status == "completed"


@pytest.mark.usefixtures("worker")
def test_hints_are_taken_and_shown(client: OpenAI) -> None:
    answer = client.responses.create(
        input="Hello.",
        access_programs={"cyber": "standard"},
        background_options={"completion_window": "soonest"},
        image={"context_compression": "disabled"},
        prompt_cache_key="k",
        prompt_cache_options={"mode": "explicit", "ttl": "12h"},
        prompt_cache_retention="24h",
        reasoning={"effort": "max", "mode": "standard"},
        safety_identifier="s" * 128,
        service_tier="fast",
    )

    assert answer.access_programs is not None
    assert answer.access_programs.cyber == "standard"
    assert answer.image is not None
    assert answer.image.context_compression == "disabled"
    assert answer.prompt_cache_options is not None
    assert (answer.prompt_cache_options.mode, answer.prompt_cache_options.ttl) == (
        "explicit",
        "12h",
    )
    assert answer.prompt_cache_retention == "24h"
    assert answer.reasoning is not None
    assert (answer.reasoning.effort, answer.reasoning.mode) == ("max", "standard")
    assert answer.service_tier == "fast"


@pytest.mark.usefixtures("worker")
def test_a_stream_is_read_to_its_end(client: OpenAI) -> None:
    with client.responses.stream(
        model="scripted", input="Hello.", service_tier="flex", user="u"
    ) as stream:
        final = stream.get_final_response()

    assert (final.status, final.service_tier, final.user) == ("completed", "flex", "u")
    again = client.responses.retrieve(final.id, include=["message.output_text.logprobs"])
    assert again.output_text == final.output_text
