"""MCP tools: the tools of a Model Context Protocol server, which the worker calls.

The items and events of their calls are in `models/schemas/tools/mcp_items.py`.
"""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag, field_validator
from pydantic_core import PydanticCustomError

from models.schemas.strict import ServerLabel, Text, ToolName, WireModel, at_most
from models.schemas.unserved import MCP

MAX_CALLS = 128
"""Maximum calls of one response; `max_tool_calls` can only lower it."""
MAX_NAMES = 256
"""Maximum number of tools that one filter names."""
MAX_HEADERS = 32
MAX_SECRET = 8192
"""Maximum characters of one header, or of an access token."""

_OWN_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "connection", "content-length", "content-type", "expect"),
        *("host", "keep-alive", "trailer", "transfer-encoding", "upgrade"),
    }
)
_OWN_PREFIXES = ("mcp-", "proxy-")

HeaderName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$")]
HeaderValue = Annotated[
    str, StringConstraints(max_length=MAX_SECRET, pattern=r"^[\x20-\x7e\x80-\xff\t]*$")
]
ToolNames = Annotated[list[ToolName], Field(max_length=MAX_NAMES)]


class McpToolFilter(WireModel):
    """The tools that have one of these names, or that only read; with both, both must hold."""

    tool_names: ToolNames | None = None
    read_only: bool | None = None
    """True: tools that the server annotates with `readOnlyHint`; false: all others."""


class McpApprovalFilter(WireModel):
    """The tools whose calls need an approval, always or never; all others always need one."""

    always: McpToolFilter | None = None
    never: McpToolFilter | None = None


def _kind_of_filter(value: object) -> str:
    if isinstance(value, str):
        return "mode"
    return "names" if isinstance(value, list) else "filter"


class McpTool(WireModel):
    """The tools of one MCP server, called by the worker.

    `headers` and `authorization` are secrets: they are no part of what is stored with the
    parameters, and never returned.
    """

    unserved = MCP

    type: Literal["mcp"] = "mcp"
    server_label: ServerLabel
    server_url: Annotated[str, StringConstraints(max_length=2048)] | None = None
    server_description: Text | None = None
    headers: (
        Annotated[
            dict[HeaderName, HeaderValue], Field(max_length=MAX_HEADERS), at_most(MAX_HEADERS)
        ]
        | None
    ) = Field(None, exclude=True, repr=False)
    authorization: HeaderValue | None = Field(None, exclude=True, repr=False)
    allowed_tools: (
        Annotated[
            Annotated[ToolNames, Tag("names")] | Annotated[McpToolFilter, Tag("filter")],
            Discriminator(_kind_of_filter),
        ]
        | None
    ) = None
    require_approval: (
        Annotated[
            Annotated[Literal["always", "never"], Tag("mode")]
            | Annotated[McpApprovalFilter, Tag("filter")],
            Discriminator(_kind_of_filter),
        ]
        | None
    ) = None
    """None: every call needs an approval."""

    @field_validator("headers", mode="after")
    @classmethod
    def _refuse_own_headers(cls, headers: dict[str, str] | None) -> dict[str, str] | None:
        """Refuse headers that belong to the protocol."""
        for name in headers or ():
            if name.lower() in _OWN_HEADERS or name.lower().startswith(_OWN_PREFIXES):
                raise PydanticCustomError("own_header", "'{header}' is set here", {"header": name})
        return headers


class McpChoice(WireModel):
    """The model must call a tool of this server: the one named, or any."""

    type: Literal["mcp"]
    server_label: ServerLabel
    name: ToolName | None = None
