"""MCP items of earlier turns, as the model reads them."""

from typing import Any

from models.tools.mcp.approvals import approved_calls
from models.tools.mcp.history import as_functions

CALLED = {"server_label": "s", "name": "add", "arguments": '{"a": 1}'}
REQUEST = {"type": "mcp_approval_request", "id": "mcpr_1", **CALLED}


def answer(approve: bool, **fields: Any) -> dict[str, Any]:
    fields = {"approval_request_id": "mcpr_1", "approve": approve, **fields}
    return {"type": "mcp_approval_response", **fields}


def outputs_of(*items: dict[str, Any]) -> list[str]:
    return [item["output"] for item in as_functions(items) if "output" in item]


def test_a_call_is_one_of_a_function_with_its_output() -> None:
    call, output = as_functions([{"type": "mcp_call", "id": "mcp_1", **CALLED, "output": "2"}])

    assert call == {
        "type": "function_call",
        "call_id": "mcp_0",
        "name": "s__add",
        "arguments": '{"a": 1}',
    }
    assert output == {
        "type": "function_call_output",
        "call_id": "mcp_0",
        "output": '{"output":"2"}',
    }


def test_errors_are_read_in_every_form_in_which_clients_send_them() -> None:
    errors: list[Any] = [
        "away",
        {"type": "mcp_protocol_error", "code": 1, "message": "away"},
        {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "away"}]},
        {"type": "mcp_tool_execution_error", "content": "away"},
    ]
    items = [{"type": "mcp_call", **CALLED, "output": None, "error": error} for error in errors]

    assert outputs_of(*items) == ['{"error":"away"}'] * 4


def test_a_call_that_was_not_approved_is_told_with_the_reason() -> None:
    assert outputs_of(REQUEST) == ['{"error":"the user has not approved this call"}']
    assert outputs_of(REQUEST, answer(False, reason="no")) == [
        '{"error":"the user has not approved this call: no"}'
    ]


def test_one_that_was_approved_is_told_by_its_call_alone() -> None:
    call = {"type": "mcp_call", **CALLED, "approval_request_id": "mcpr_1", "output": "2"}

    assert outputs_of(REQUEST, answer(True), call) == ['{"output":"2"}']


def test_lists_are_told_elsewhere_and_other_items_stay() -> None:
    listed = {"type": "mcp_list_tools", "server_label": "s", "tools": []}
    message = {"role": "user", "content": "a"}

    assert as_functions([listed, message]) == [message]


def test_an_approved_call_is_due_until_it_was_made() -> None:
    call = {"type": "mcp_call", **CALLED, "approval_request_id": "mcpr_1", "output": "2"}

    assert approved_calls([REQUEST]) == []
    assert approved_calls([REQUEST, answer(False)]) == []
    assert approved_calls([REQUEST, answer(True)]) == [REQUEST]
    assert approved_calls([REQUEST, answer(True), call]) == []
    assert approved_calls([answer(True)]) == []
