"""Checks of MCP tools and of approvals, and the secrets that a request has for them."""

from collections.abc import Sequence
from typing import Any

from api.services import Services
from models.access.projects import ProjectPermissions
from models.errors import InvalidRequestError, PermissionMissingError
from models.schemas.request.create_response import CreateResponse
from models.schemas.tools.mcp import MAX_CALLS, McpTool
from models.tools.mcp.approvals import answers_in, approved_calls, requests_in
from models.tools.mcp.servers import McpServerRefusedError, McpServers

Item = dict[str, Any]


def check_mcp_servers(
    services: Services, permissions: ProjectPermissions, body: CreateResponse
) -> None:
    """Raise an error for a server that must not be called, or a secret that cannot be stored.

    A 403 if the project may call none, else a 400.
    """
    settings = services.settings
    servers = McpServers(settings.mcp_servers, settings.mcp_public_servers)
    for position, tool in enumerate(body.tools):
        if not isinstance(tool, McpTool):
            continue
        if not permissions.mcp:
            raise PermissionMissingError("mcp", param=f"tools[{position}]")
        try:
            servers.find(tool)
        except McpServerRefusedError as error:
            field = "server_label" if tool.server_url is None else "server_url"
            param = f"tools[{position}].{field}"
            raise InvalidRequestError(
                str(error), param=param, code="mcp_server_not_allowed"
            ) from None
        secret = next((name for name in ("headers", "authorization") if getattr(tool, name)), None)
        if secret is not None and body.store and settings.secret_file is None:
            message = (
                "It is a secret, and this server has no key to store it with "
                "(ANTIPHON_SECRET_FILE). With store: false, it is not stored."
            )
            raise InvalidRequestError(message, param=f"tools[{position}].{secret}")


def tool_secrets(body: CreateResponse) -> dict[str, dict[str, Any]]:
    """Return the secrets that a request has for its MCP servers, by label."""
    found = {
        tool.server_label: {"headers": tool.headers or {}, "authorization": tool.authorization}
        for tool in body.tools
        if isinstance(tool, McpTool)
    }
    return {label: secrets for label, secrets in found.items() if any(secrets.values())}


def check_approvals(items: Sequence[Item], before: Sequence[Item], body: CreateResponse) -> None:
    """Raise a 400 for an approval of a call that waits for none, or that cannot be made.

    Likewise for more than the response may make. `before` are the items of the context.
    """
    answered = set(answers_in(before))
    labels = {tool.server_label for tool in body.tools if isinstance(tool, McpTool)}
    for position, item in enumerate(items):
        if item.get("type") != "mcp_approval_response":
            continue
        request_id, param = item["approval_request_id"], f"input[{position}].approval_request_id"
        request = requests_in([*before, *items[:position]]).get(request_id)
        if request is None:
            message = f"There is no mcp_approval_request with the id '{request_id}' before it."
            raise InvalidRequestError(message, param=param)
        if request_id in answered:
            message = f"The request '{request_id}' has been answered before."
            raise InvalidRequestError(message, param=param)
        answered.add(request_id)
        label = request["server_label"]
        if item["approve"] and label not in labels:
            message = f"The call cannot be made: tools has no MCP server '{label}'."
            raise InvalidRequestError(message, param=param)
    _check_num_approved([*before, *items], body)


def _check_num_approved(items: Sequence[Item], body: CreateResponse) -> None:
    most, num_approved = (
        min(body.max_tool_calls or MAX_CALLS, MAX_CALLS),
        len(approved_calls(items)),
    )
    if num_approved > most:
        message = f"{num_approved} calls are approved, and the response makes at most {most}."
        param = "max_tool_calls" if body.max_tool_calls == most else "input"
        raise InvalidRequestError(message, param=param)
