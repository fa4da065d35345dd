"""Custom tools, namespaces, tool search and added tools, as clients see them."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from models.settings import Settings
from tests.hosted_items import HOSTED
from tests.integration.api.requests import create_and_wait, error_of, parsed
from tests.integration.conftest import running_app

PATCH_CALL = '<tool_call>\n{"name": "apply_patch"}\n*** Begin Patch'
CRM_CALL = '<tool_call>\n{"name": "crm__f", "arguments": {"a": 1}}\n</tool_call>'
ERP_CALL = CRM_CALL.replace("crm", "erp")
SEARCH_CALL = '<tool_call>\n{"name": "tool_search", "arguments": {"query": "crm"}}\n</tool_call>'

CUSTOM: dict[str, Any] = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Changes files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "a"'},
}
F = {"type": "function", "name": "f", "parameters": {"type": "object"}}
CRM: dict[str, Any] = {"type": "namespace", "name": "crm", "description": "Sales.", "tools": [F]}
ERP = CRM | {"name": "erp"}
SEARCH = {"type": "tool_search", "execution": "client"}


@pytest.fixture
def script() -> list[str]:
    """Return the texts of the engine's turns."""
    return [PATCH_CALL, "Done."]


@pytest.fixture
def settings(settings: Settings, script: list[str]) -> Settings:
    return settings.model_copy(update={"script_text": "\f".join(script)})


def the_call(response: dict[str, Any]) -> dict[str, Any]:
    """Return the only item of the output."""
    [call] = response["output"]
    assert isinstance(call, dict)
    return call


@pytest.mark.usefixtures("worker")
def test_a_custom_tool_is_called_with_text_and_answered(http: FlaskClient) -> None:
    first = create_and_wait(http, tools=[CUSTOM], input="Patch it.")
    call = the_call(first)

    assert (call["type"], call["name"], call["input"]) == (
        *("custom_tool_call", "apply_patch", "*** Begin Patch"),
    )
    assert first["tools"] == [CUSTOM]
    output = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "Success."}
    second = create_and_wait(http, previous_response_id=first["id"], input=[output], tools=[CUSTOM])
    inline = create_and_wait(
        http, input=[{"role": "user", "content": "Patch it."}, call, output], tools=[CUSTOM]
    )
    for response in (second, inline):
        assert response["output"][0]["content"][0]["text"] == "Done."
    assert second["usage"]["input_tokens"] == inline["usage"]["input_tokens"]
    page = parsed(http.get(f"/v1/responses/{second['id']}/input_items"))
    assert page["data"][0]["output"] == "Success."


@pytest.mark.usefixtures("worker")
def test_the_stream_has_its_input_in_pieces(http: FlaskClient) -> None:
    answer = http.post("/v1/responses", json={"input": "a", "tools": [CUSTOM], "stream": True})

    events = [
        line.removeprefix("event: ")
        for line in answer.text.splitlines()
        if line.startswith("event")
    ]
    assert events[2] == "response.output_item.added"
    assert events[-3:] == [
        "response.custom_tool_call_input.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert set(events[3:-3]) == {"response.custom_tool_call_input.delta"}


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("script", [[f"{CRM_CALL}\n{ERP_CALL}", "Done."]])
def test_two_namespaces_may_hold_one_name(http: FlaskClient) -> None:
    first = create_and_wait(http, tools=[CRM, ERP], input="a")

    assert [(call["namespace"], call["name"]) for call in first["output"]] == [
        ("crm", "f"),
        ("erp", "f"),
    ]
    outputs = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "7"}
        | {"name": "f", "namespace": call["namespace"]}
        for call in first["output"]
    ]
    second = create_and_wait(http, previous_response_id=first["id"], input=outputs)
    assert second["status"] == "completed"


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("script", [[f"{CRM_CALL}\n{ERP_CALL}", "Done."]])
def test_an_output_without_a_call_id_answers_the_latest_open_call_of_its_name(
    http: FlaskClient,
) -> None:
    first = create_and_wait(http, tools=[CRM, ERP], input="a")
    outputs = [
        {"type": "function_call_output", "name": "f", "namespace": "crm", "output": "of crm"},
        {"type": "function_call_output", "name": "f", "output": "of erp"},
    ]

    second = create_and_wait(http, previous_response_id=first["id"], input=outputs)

    page = parsed(http.get(f"/v1/responses/{second['id']}/input_items?order=asc"))
    answered = {item["call_id"]: item["output"] for item in page["data"] if "output" in item}
    crm, erp = first["output"]
    assert answered == {crm["call_id"]: "of crm", erp["call_id"]: "of erp"}


@pytest.mark.parametrize("fields", [{"name": "g"}, {"name": "f", "namespace": "crm"}, {}])
def test_an_output_of_no_open_call_is_refused(http: FlaskClient, fields: dict[str, str]) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    items = [call, {"type": "function_call_output", "output": "7", **fields}]

    answer = http.post("/v1/responses", json={"input": items})

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "input[1].call_id"
    assert fields.get("name", "") in error_of(answer)["message"]


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("script", [[SEARCH_CALL, CRM_CALL]])
def test_deferred_tools_come_with_the_search_that_finds_them(http: FlaskClient) -> None:
    deferred = CRM | {"tools": [F | {"defer_loading": True}]}
    first = create_and_wait(http, tools=[SEARCH, deferred], input="a")
    call = the_call(first)

    assert (call["type"], call["arguments"]) == ("tool_search_call", {"query": "crm"})
    found = {"type": "tool_search_output", "call_id": call["call_id"], "tools": [CRM]}
    second = create_and_wait(
        http, previous_response_id=first["id"], input=[found], tools=[SEARCH, deferred]
    )
    assert (the_call(second)["namespace"], the_call(second)["name"]) == ("crm", "f")
    inline = create_and_wait(
        http,
        input=[{"role": "user", "content": "a"}, call, found | {"status": "completed"}],
        tools=[SEARCH, deferred],
    )
    assert the_call(inline)["name"] == "f"


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("script", [[CRM_CALL]])
def test_a_deferred_tool_is_neither_shown_nor_called_before(http: FlaskClient) -> None:
    deferred = CRM | {"tools": [F | {"defer_loading": True}]}
    response = create_and_wait(http, tools=[SEARCH, deferred], input="a")
    without = create_and_wait(http, tools=[SEARCH], input="a")

    assert the_call(response)["type"] == "message"
    assert response["usage"]["input_tokens"] == without["usage"]["input_tokens"]


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("script", [[CRM_CALL]])
def test_additional_tools_may_be_called_from_their_place_on(http: FlaskClient) -> None:
    added = {"type": "additional_tools", "role": "developer", "tools": [CRM]}
    items = [{"role": "user", "content": "a"}, added]

    response = create_and_wait(http, input=items)

    assert the_call(response)["name"] == "f"
    assert response["tools"] == []
    f = {"type": "function", "name": "f", "namespace": "crm"}
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [f]}
    assert the_call(create_and_wait(http, input=items, tool_choice=choice))["name"] == "f"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": [CRM, CRM]}, "tools[1].tools[0].name"),
        ({"tools": [CRM, F | {"name": "crm__f"}]}, "tools[1].name"),
        ({"tools": [SEARCH, F | {"name": "tool_search"}]}, "tools[1].name"),
        ({"tools": [SEARCH | {"execution": "server"}]}, "tools[0].execution"),
        ({"tools": [CRM | {"tools": []}]}, "tools[0].tools"),
        ({"tools": [CUSTOM | {"format": {"type": "bnf"}}]}, "tools[0].format.type"),
        ({"tools": [CUSTOM], "tool_choice": {"type": "custom", "name": "g"}}, "tool_choice"),
        ({"tools": [CUSTOM], "tool_choice": {"type": "function", "name": "f"}}, "tool_choice"),
        ({"previous_response_id": None, "tool_choice": "required"}, "tool_choice"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    http: FlaskClient, body: dict[str, Any], param: str
) -> None:
    answer = http.post("/v1/responses", json={"input": "a", **body})

    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


@pytest.mark.usefixtures("worker")
def test_a_chosen_tool_that_no_item_brings_is_refused(http: FlaskClient) -> None:
    first = create_and_wait(http, input="a")
    body = {"input": "b", "previous_response_id": first["id"]}

    answer = http.post(
        "/v1/responses", json=body | {"tool_choice": {"type": "custom", "name": "g"}}
    )

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "tool_choice"


@pytest.mark.usefixtures("worker")
def test_client_metadata_is_taken_and_not_kept(http: FlaskClient) -> None:
    response = create_and_wait(http, client_metadata={"session": "x" * 4096})

    assert "client_metadata" not in response
    assert response["metadata"] == {}
    answer = http.post("/v1/responses", json={"input": "a", "client_metadata": {"a": 1}})
    assert error_of(answer)["param"] == "client_metadata.a"


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("context", ["auto", "current_turn", "all_turns"])
def test_reasoning_of_earlier_turns_is_read_as_the_context_says(
    http: FlaskClient, context: str
) -> None:
    thought = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm." * 50}]}
    items = [
        {"role": "user", "content": "a"},
        thought | {"summary": []},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]

    response = create_and_wait(http, input=items, reasoning={"context": context})
    bare = create_and_wait(http, input=[items[0], *items[2:]])

    assert response["reasoning"]["context"] == context
    extra = response["usage"]["input_tokens"] - bare["usage"]["input_tokens"]
    assert extra == 0 if context == "current_turn" else extra > 150


@pytest.mark.usefixtures("worker")
def test_a_web_search_that_is_only_offered_is_left_out_with_a_warning(http: FlaskClient) -> None:
    search = {"type": "web_search", "search_content_types": ["text", "image"]}
    for body in ({"tools": [search]}, {"tools": [search, F], "tool_choice": "auto"}):
        answer = http.post("/v1/responses", json={"input": "a", **body})

        assert answer.status_code == 200
        assert "no search provider" in answer.headers["Antiphon-Warning"]
        assert all(tool["type"] != "web_search" for tool in parsed(answer)["tools"])
    quiet = http.post("/v1/responses", json={"input": "a", "tools": [F]})
    assert "Antiphon-Warning" not in quiet.headers


@pytest.mark.usefixtures("worker")
def test_a_search_without_web_access_is_left_out(http: FlaskClient) -> None:
    search = {"type": "web_search", "external_web_access": False}

    answer = http.post("/v1/responses", json={"input": "a", "tools": [search]})

    assert answer.status_code == 200
    assert parsed(answer)["tools"] == []
    assert "Antiphon-Warning" not in answer.headers


def test_strict_servers_refuse_what_they_cannot_search(settings: Settings) -> None:
    with running_app(settings.model_copy(update={"strict_web_search": True})) as app:
        body = {"input": "a", "tools": [{"type": "web_search"}]}

        answer = app.test_client().post("/v1/responses", json=body)

    assert answer.status_code == 400
    assert error_of(answer)["code"] == "search_not_configured"


@pytest.mark.usefixtures("worker")
def test_items_of_other_servers_tools_are_read_and_listed(http: FlaskClient) -> None:
    items = [*HOSTED, {"role": "user", "content": "And?"}]

    response = create_and_wait(http, input=items)
    bare = create_and_wait(http, input=items[-1:])

    assert response["usage"]["input_tokens"] > bare["usage"]["input_tokens"] + 200
    page = parsed(http.get(f"/v1/responses/{response['id']}/input_items?order=asc"))
    assert [item["type"] for item in page["data"][:-1]] == [item["type"] for item in HOSTED]
    again = create_and_wait(http, input=page["data"])
    assert again["usage"]["input_tokens"] == response["usage"]["input_tokens"]


@pytest.mark.usefixtures("worker")
def test_items_of_other_servers_need_no_ids(http: FlaskClient) -> None:
    items = [
        {key: value for key, value in item.items() if key != "id"}
        for item in HOSTED
        if item["type"] != "local_shell_call_output"  # its id is that of the call
    ]

    conversation = http.post("/v1/conversations", json={"items": items})
    response = create_and_wait(http, input=[*items, {"role": "user", "content": "And?"}])

    assert conversation.status_code == 200, conversation.text
    assert response["status"] == "completed"
    page = parsed(http.get(f"/v1/responses/{response['id']}/input_items?order=asc"))
    assert len({item["id"] for item in page["data"]}) == len(items) + 1
