"""Items and events of MCP tools: lists of tools, calls, and approvals of calls."""

from typing import Annotated, Any, Literal

from pydantic import Field

from models.schemas.event_types import PieceEvent
from models.schemas.strict import (
    FailFastList,
    ItemId,
    Label,
    ServerLabel,
    Text,
    ToolName,
    WireModel,
)
from models.schemas.unserved import MCP_ITEM, OTHER_ITEM

MAX_LISTED = 128
"""Maximum number of tools that one server may offer."""


class ListedTool(WireModel):
    """A tool that an MCP server has listed."""

    name: ToolName
    description: Text | None = None
    input_schema: dict[str, Any]
    """JSON schema of its arguments."""
    annotations: dict[str, Any] | None = None
    """Hints of the server, such as `readOnlyHint`."""


class ProtocolError(WireModel):
    """A call that could not be made, or whose outcome is unknown."""

    type: Literal["mcp_protocol_error"] = "mcp_protocol_error"
    code: int
    message: str


class ExecutionError(WireModel):
    """A call that the tool has answered with an error."""

    type: Literal["mcp_tool_execution_error"] = "mcp_tool_execution_error"
    content: Any


class HttpError(WireModel):
    """A call that the server has refused with a status of HTTP."""

    type: Literal["http_error"] = "http_error"
    code: int
    message: str


McpError = Annotated[ProtocolError | ExecutionError | HttpError, Field(discriminator="type")]


class McpListTools(WireModel):
    """The tools of an MCP server."""

    type: Literal["mcp_list_tools"] = "mcp_list_tools"
    id: str
    server_label: ServerLabel
    tools: list[ListedTool] = Field(default_factory=list)
    error: str | None = None


class McpCall(WireModel):
    """A call of an MCP tool, made by the worker; `arguments` is JSON."""

    type: Literal["mcp_call"] = "mcp_call"
    id: str
    server_label: ServerLabel
    name: ToolName
    arguments: str
    approval_request_id: str | None = None
    output: str | None = None
    error: McpError | None = None
    status: Literal["in_progress", "completed", "incomplete", "failed"]


class McpApprovalRequest(WireModel):
    """A call that the client is asked to approve."""

    type: Literal["mcp_approval_request"] = "mcp_approval_request"
    id: str
    server_label: ServerLabel
    name: ToolName
    arguments: str


class GivenMcpListTools(WireModel):
    """A list of tools from an earlier turn: the server is not asked again."""

    unserved = MCP_ITEM

    type: Literal["mcp_list_tools"]
    id: ItemId | None = None
    server_label: ServerLabel
    tools: FailFastList[ListedTool] = Field(max_length=MAX_LISTED)
    error: Text | None = None


class GivenMcpCall(WireModel):
    """A call of an MCP tool in an earlier turn."""

    unserved = OTHER_ITEM

    type: Literal["mcp_call"]
    id: ItemId | None = None
    server_label: ServerLabel
    name: ToolName
    arguments: Text
    approval_request_id: ItemId | None = None
    output: Text | None = None
    error: McpError | Text | None = None
    status: Label | None = None


class GivenMcpApprovalRequest(WireModel):
    """A call of an MCP tool that waited for an approval in an earlier turn."""

    unserved = MCP_ITEM

    type: Literal["mcp_approval_request"]
    id: ItemId
    server_label: ServerLabel
    name: ToolName
    arguments: Text


class GivenMcpApprovalResponse(WireModel):
    """The client's answer to an `mcp_approval_request`."""

    unserved = MCP_ITEM

    type: Literal["mcp_approval_response"]
    id: ItemId | None = None
    approval_request_id: ItemId
    approve: bool
    reason: Text | None = None


class McpListToolsInProgress(PieceEvent):
    """The list of tools is being fetched."""

    type: Literal["response.mcp_list_tools.in_progress"] = "response.mcp_list_tools.in_progress"


class McpListToolsCompleted(PieceEvent):
    """The list of tools is there."""

    type: Literal["response.mcp_list_tools.completed"] = "response.mcp_list_tools.completed"


class McpListToolsFailed(PieceEvent):
    """The server has not listed its tools."""

    type: Literal["response.mcp_list_tools.failed"] = "response.mcp_list_tools.failed"


class McpArgumentsDelta(PieceEvent):
    """Text to append to the arguments of a call."""

    type: Literal["response.mcp_call_arguments.delta"] = "response.mcp_call_arguments.delta"
    delta: str


class McpArgumentsDone(PieceEvent):
    """The whole arguments of a call."""

    type: Literal["response.mcp_call_arguments.done"] = "response.mcp_call_arguments.done"
    arguments: str


class McpCallInProgress(PieceEvent):
    """The call is being made."""

    type: Literal["response.mcp_call.in_progress"] = "response.mcp_call.in_progress"


class McpCallCompleted(PieceEvent):
    """The tool has answered."""

    type: Literal["response.mcp_call.completed"] = "response.mcp_call.completed"


class McpCallFailed(PieceEvent):
    """The call has failed, or its outcome is unknown."""

    type: Literal["response.mcp_call.failed"] = "response.mcp_call.failed"


McpStepEvent = (
    McpListToolsInProgress
    | McpListToolsCompleted
    | McpListToolsFailed
    | McpCallInProgress
    | McpCallCompleted
    | McpCallFailed
)
"""Events that mark a step of a list or of a call."""
AnyMcpEvent = McpStepEvent | McpArgumentsDelta | McpArgumentsDone
