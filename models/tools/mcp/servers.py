"""MCP servers that requests may name: those of the settings and, if allowed, public ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from models.fetching.destinations import Destinations, UrlRefusedError
from models.schemas.tools.mcp import McpTool
from models.settings import McpServer

ANYWHERE = Destinations((ip_network("0.0.0.0/0"), ip_network("::/0")))
"""Destinations of servers that the operator names."""
PUBLIC = Destinations()


class McpServerRefusedError(Exception):
    """Raised for a server that must not be called; the message says why, and what allows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McpSecrets:
    """Secrets that a request gives for one server."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    authorization: str | None = field(default=None, repr=False)

    def all_headers(self) -> dict[str, str]:
        """Return the headers to send, in lower case."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.authorization is not None:
            headers["authorization"] = f"Bearer {self.authorization}"
        return headers


@dataclass(frozen=True, slots=True, kw_only=True)
class McpEndpoint:
    """Address of a server, with what is sent to it."""

    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    destinations: Destinations = PUBLIC


@dataclass(frozen=True, slots=True)
class McpServers:
    """Servers that may be called."""

    configured: Mapping[str, McpServer] = field(default_factory=dict)
    """Servers of the settings, by label."""
    allows_public: bool = False
    """True if any server at a public address may be called, by https."""

    def find(self, tool: McpTool, secrets: McpSecrets = McpSecrets()) -> McpEndpoint:
        """Return the server that a tool names; raise `McpServerRefusedError` if it is not allowed.

        Headers of the settings take precedence over those of the request.
        """
        server = self._configured_server(tool)
        if server is not None:
            own = {name.lower(): value for name, value in server.headers.items()}
            return McpEndpoint(
                url=server.url,
                headers={**secrets.all_headers(), **own},
                destinations=ANYWHERE,
            )
        if tool.server_url is None:
            raise McpServerRefusedError(
                f"No MCP server '{tool.server_label}' is configured (ANTIPHON_MCP_SERVERS), and "
                "there is no server_url."
            )
        if not self.allows_public:
            raise McpServerRefusedError(
                "This server calls only the MCP servers that ANTIPHON_MCP_SERVERS names; "
                "ANTIPHON_MCP_PUBLIC_SERVERS=true allows any at a public address."
            )
        try:
            target = PUBLIC.target(tool.server_url)
        except UrlRefusedError as error:
            raise McpServerRefusedError(f"The MCP server's URL is refused: {error}.") from None
        return McpEndpoint(url=target.url, headers=secrets.all_headers())

    def _configured_server(self, tool: McpTool) -> McpServer | None:
        """Return the server of the settings with the tool's URL, or, if it has none, its label."""
        if tool.server_url is None:
            return self.configured.get(tool.server_label)
        return next((s for s in self.configured.values() if s.url == tool.server_url), None)
