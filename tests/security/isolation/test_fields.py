"""Every field of a body with an id: one of another project is answered as one that nothing has."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from models.schemas.chat.request import ChatCompletionRequest
from models.schemas.compaction import CompactRequest
from models.schemas.conversations import CreateConversation, CreateItems
from models.schemas.request.create_response import CreateResponse
from models.schemas.webhooks import ReplayWebhookDeliveries
from tests.integration.api.requests import error_of, parsed
from tests.security.isolation.belongings import Belongings, Caller, nothing
from tests.security.isolation.test_routes import answer_to, snapshot

BODIES: list[type[BaseModel]] = [
    ChatCompletionRequest,
    CompactRequest,
    CreateConversation,
    CreateItems,
    CreateResponse,
    ReplayWebhookDeliveries,
]
_IS_ID = re.compile(r"(^|_)ids?$|conversation|encrypted")
REFERRING = {"previous_response_id", "conversation", "id", "encrypted_content", "response_ids"}
"""Fields that refer to what is stored, or to what was encrypted here; `id` of `item_reference`."""
OTHERS = {
    "approval_request_id",  # of an item of the same context
    "call_id",  # of an item of the same context
    "tool_call_id",  # of an item of the same context
    "comparison_response_id",  # has no effect
    "continuation_id",  # has no effect
    "container_id",  # of other servers
    "file_id",  # refused
}
_NEXT = {"role": "user", "content": "Repeat it."}


def reference(item_id: str) -> list[dict[str, Any]]:
    return [{"type": "item_reference", "id": item_id}, _NEXT]


def reasoning(content: str) -> list[dict[str, Any]]:
    return [_NEXT, {"type": "reasoning", "summary": [], "encrypted_content": content}, _NEXT]


def compaction(content: str) -> list[dict[str, Any]]:
    return [{"type": "compaction", "encrypted_content": content}, _NEXT]


FIELDS: dict[str, Callable[[Belongings], dict[str, Any]]] = {
    "previous_response_id": lambda of: {"input": "Hi.", "previous_response_id": of.response},
    "conversation": lambda of: {"input": "Hi.", "conversation": of.conversation},
    "conversation.id": lambda of: {"input": "Hi.", "conversation": {"id": of.conversation}},
    "reference to an output": lambda of: {"input": reference(of.output_item)},
    "reference to a conversation": lambda of: {"input": reference(of.conversation_item)},
    "reasoning": lambda of: {"input": reasoning(of.encrypted_content)},
    "compaction": lambda of: {"input": compaction(of.encrypted_content)},
}
_ROUTES = {
    "create": ("/v1/responses", {}),
    "background": ("/v1/responses", {"background": True}),
    "stream": ("/v1/responses", {"stream": True}),
    "unstored": ("/v1/responses", {"store": False}),
    "input tokens": ("/v1/responses/input_tokens", {}),
}
_COMPACTED = FIELDS.keys() - {"conversation", "conversation.id"}
CASES = [
    pytest.param(path, lambda of, make=make, more=more: make(of) | more, id=f"{route}-{field}")
    for route, (path, more) in _ROUTES.items()
    for field, make in FIELDS.items()
] + [
    pytest.param(
        "/v1/responses/compact",
        lambda of, field=field: {"model": "default"} | FIELDS[field](of),
        id=f"compact-{field}",
    )
    for field in sorted(_COMPACTED)
]

Make = Callable[[Belongings], dict[str, Any]]


def _names(schema: object) -> set[str]:
    match schema:
        case dict():
            properties = schema.get("properties")
            own = set(properties) if isinstance(properties, dict) else set()
            return own.union(*map(_names, schema.values()))
        case list():
            return set().union(*map(_names, schema))
        case _:
            return set()


def test_every_field_that_may_be_an_id_is_known() -> None:
    names = set().union(*(_names(body.model_json_schema()) for body in BODIES))

    assert {name for name in names if _IS_ID.search(name)} == REFERRING | OTHERS


@pytest.mark.parametrize(("path", "make"), CASES)
def test_an_id_of_another_project_is_refused_as_an_unknown_one(
    us: Caller, them: Caller, theirs: Belongings, path: str, make: Make
) -> None:
    before = snapshot(them, theirs)
    unknown = nothing()

    expected = answer_to(us, ("POST", path, make(unknown)), unknown)
    assert answer_to(us, ("POST", path, make(theirs)), theirs) == expected

    assert expected[0] in (400, 404)
    assert snapshot(them, theirs) == before
    assert us.get("/v1/responses")["data"] == []


@pytest.mark.parametrize("field", sorted(FIELDS.keys() - {"compaction"}))
def test_its_owner_may_name_it(them: Caller, theirs: Belongings, field: str) -> None:
    """The bodies above are refused for their ids alone."""
    answer = them.ask("POST", "/v1/responses/input_tokens", FIELDS[field](theirs))

    assert answer.status_code == 200, answer.text


def test_replayed_deliveries_are_those_of_the_endpoint(
    us: Caller, them: Caller, theirs: Belongings
) -> None:
    ours = us.post("/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/hook"})
    path = f"/v1/webhook_endpoints/{ours['id']}/replay"
    unknown = nothing()

    expected = answer_to(us, ("POST", path, {"response_ids": [unknown.response]}), unknown)
    assert answer_to(us, ("POST", path, {"response_ids": [theirs.response]}), theirs) == expected


def test_an_id_that_was_planted_shadows_nothing(
    us: Caller, them: Caller, theirs: Belongings
) -> None:
    planted = {"id": theirs.output_item, "role": "assistant", "content": "Planted by others."}
    before = snapshot(them, theirs)
    referred = ("POST", "/v1/responses/input_tokens", {"input": reference(theirs.output_item)})
    num_tokens = parsed(them.ask(*referred))

    us.post("/v1/conversations", {"items": [planted]})
    us.ask("POST", "/v1/responses", {"input": [planted, _NEXT]})

    assert parsed(them.ask(*referred)) == num_tokens
    assert snapshot(them, theirs) == before


def test_an_idempotency_key_belongs_to_one_project(us: Caller, them: Caller) -> None:
    body = {"input": "Hi.", "background": True}

    first = parsed(them.ask("POST", "/v1/responses", body, **{"Idempotency-Key": "one"}))
    repeated = parsed(them.ask("POST", "/v1/responses", body, **{"Idempotency-Key": "one"}))
    ours = parsed(us.ask("POST", "/v1/responses", body, **{"Idempotency-Key": "one"}))
    other = us.ask("POST", "/v1/responses", body | {"input": "x"}, **{"Idempotency-Key": "two"})

    assert repeated["id"] == first["id"] != ours["id"]
    assert other.status_code == 200
    refused = us.ask("GET", f"/v1/responses/{first['id']}")
    assert error_of(refused)["code"] == "response_not_found"
