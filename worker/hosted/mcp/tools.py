"""MCP tools of one response: its sessions with servers, and the rule that no call is made twice."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import orjson

from models.responses.record import ResponseRecord
from models.schemas.request.parameters import GenerationParameters
from models.schemas.tools.mcp import McpTool
from models.tools.mcp.listing import Listed, is_allowed, is_repeatable
from models.tools.mcp.results import LOST, LOST_CODE, McpResult
from models.tools.mcp.servers import McpSecrets, McpServerRefusedError, McpServers
from worker.hosted.mcp.client import IsAbandoned, McpClient, McpSession
from worker.hosted.mcp.convert import listed_tools, to_result
from worker.hosted.mcp.errors import AbandonedError, McpServerError

logger = logging.getLogger(__name__)

LIST_PAUSES_S = (0.5, 2.0)
"""Seconds between the tries to list the tools of a server."""
_BAD_PARAMETERS = -32602
_UNKNOWN_TOOL = -32601

BeginCall = Callable[[ResponseRecord, int], bool]
"""Function that notes for good that a call may have been made; False if it must not be."""


class StaleAttemptError(Exception):
    """Another attempt has taken the response over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServices:
    """What the MCP tools of all responses share."""

    client: McpClient
    servers: McpServers
    begin_call: BeginCall


@dataclass(frozen=True, slots=True, kw_only=True)
class McpRequest:
    """Call of a tool: what a model has asked for, or a client has approved."""

    server_label: str
    name: str
    arguments: str
    """Text that should be an object of JSON."""
    number: int
    """Position among the calls of its response, from 1, which is the same in every attempt."""


class McpTools:
    """Tools of the MCP servers that one response may use, on its task thread."""

    def __init__(
        self, services: McpServices, record: ResponseRecord, parameters: GenerationParameters
    ) -> None:
        self._services = services
        self._record = record
        self._tools = {
            tool.server_label: tool for tool in parameters.tools if isinstance(tool, McpTool)
        }
        self._sessions: dict[str, McpSession] = {}

    def list_tools(self, server_label: str, is_abandoned: IsAbandoned) -> list[Listed]:
        """Return the tools of a server that the request may call; try again if it fails.

        Raises `McpServerError`, or `AbandonedError`.
        """
        tool, pause = self._tools[server_label], threading.Event()
        for pause_s in LIST_PAUSES_S:
            try:
                return listed_tools(tool, self._session(tool).list_tools())
            except McpServerError as error:
                self._log("tools not listed", server_label, error)
            pause.wait(pause_s)
            if is_abandoned():
                raise AbandonedError
        return listed_tools(tool, self._session(tool).list_tools())

    def call(
        self, request: McpRequest, listed: list[Listed], is_abandoned: IsAbandoned
    ) -> McpResult:
        """Make a call, unless an earlier attempt may have made it, and return its result.

        `listed` are the tools of its server. Raises `AbandonedError`, after which the call may have
        been made, and `StaleAttemptError`.
        """
        tool = self._tools.get(request.server_label)
        found = next((one for one in listed if one["name"] == request.name), None)
        if tool is None or found is None or not is_allowed(tool, found):
            return McpResult(error="the server lists no such tool", code=_UNKNOWN_TOOL)
        if request.number <= self._record.calls_begun and not is_repeatable(found):
            return McpResult(error=LOST, code=LOST_CODE)
        with suppress(orjson.JSONDecodeError):
            arguments = orjson.loads(request.arguments or "{}")
            if isinstance(arguments, dict):
                return self._call(tool, request, arguments, is_abandoned)
        return McpResult(error="the arguments are not an object of JSON", code=_BAD_PARAMETERS)

    def close(self) -> None:
        """End the sessions."""
        for session in self._sessions.values():
            session.close()

    def _call(
        self,
        tool: McpTool,
        request: McpRequest,
        arguments: dict[str, object],
        is_abandoned: IsAbandoned,
    ) -> McpResult:
        try:
            session = self._session(tool)
            # Before the call is noted as begun: if the server is away, it has not been made.
            session.connect()
            if not self._services.begin_call(self._record, request.number):
                raise StaleAttemptError
            return to_result(session.call(request.name, arguments, is_abandoned))
        except McpServerError as error:
            self._log("MCP call failed", request.server_label, error)
            return McpResult(error=str(error), code=error.code, http_status=error.http_status)

    def _session(self, tool: McpTool) -> McpSession:
        """Return the session with a server; raise `McpServerError` if it must not be called."""
        label = tool.server_label
        if label not in self._sessions:
            secrets = McpSecrets(**self._record.tool_secrets.get(label, {}))
            try:
                endpoint = self._services.servers.find(tool, secrets)
            except McpServerRefusedError as error:
                raise McpServerError(str(error)) from None
            client = self._services.client
            self._sessions[label] = client.session(endpoint, owner=self._record.project_id)
        return self._sessions[label]

    def _log(self, message: str, server_label: str, error: McpServerError) -> None:
        fields = {"response_id": self._record.id.hex, "server_label": server_label}
        logger.warning(message, extra={**fields, "error": str(error)})
