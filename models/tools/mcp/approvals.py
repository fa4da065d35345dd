"""Approvals of MCP calls: which calls of a context the client has approved, or refused."""

from collections.abc import Iterable, Sequence
from typing import Any

Item = dict[str, Any]


def requests_in(items: Iterable[Item]) -> dict[str, Item]:
    """Return the requests for an approval, by their ids."""
    return {item["id"]: item for item in items if item.get("type") == "mcp_approval_request"}


def answers_in(items: Iterable[Item]) -> dict[str, Item]:
    """Return the client's answers to them, by the ids of the requests."""
    return {
        item["approval_request_id"]: item
        for item in items
        if item.get("type") == "mcp_approval_response"
    }


def approved_calls(items: Sequence[Item]) -> list[Item]:
    """Return the requests that are approved, and whose calls have not been made, in order."""
    requests = requests_in(items)
    made = {item.get("approval_request_id") for item in items if item.get("type") == "mcp_call"}
    return [
        requests[request_id]
        for request_id, answer in answers_in(items).items()
        if answer["approve"] and request_id in requests and request_id not in made
    ]
