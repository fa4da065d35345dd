"""Text of the results of MCP calls, as the model reads them and as they are read off again.

Like results of searches, they are tokens of the response
(`docs/adr/0008-results-are-tokens.md`): what the item shows is parsed from this text.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from models.schemas.tools.mcp_items import ExecutionError, HttpError, McpError, ProtocolError

MAX_OUTPUT = 65_536
"""Maximum characters of a result; of a longer one the beginning is kept, and a note of the rest."""
LOST_CODE = -32000
"""Code of the error of a call whose outcome is unknown, one that JSON-RPC leaves to servers."""
LOST = "the worker was lost during the call; it may or may not have taken effect"
_UNREADABLE = "the result cannot be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class McpResult:
    """Result of a call: the text that the tool has answered with, or an error."""

    output: str | None = None
    error: str | None = None
    code: int | None = None
    """Code of JSON-RPC, if the error is not one that the tool has reported."""
    http_status: int | None = None
    """Status of the HTTP response that refused the call, if one did."""

    def item_fields(self) -> dict[str, Any]:
        """Return the fields of the item of the call."""
        return {"output": self.output, "error": self._error()}

    def cut(self, length: int) -> "McpResult":
        """Return the result with at most this many characters, and a note of those left out."""
        return McpResult(
            output=_cut(self.output, length),
            error=_cut(self.error, length),
            code=self.code,
            http_status=self.http_status,
        )

    @property
    def length(self) -> int:
        """Number of characters of its text."""
        return len(self.output or self.error or "")

    def to_json(self) -> dict[str, Any]:
        """Return its fields that are set, from which it can be made again."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in fields.items() if value is not None}

    def _error(self) -> McpError | None:
        if self.error is None:
            return None
        if self.http_status is not None:
            return HttpError(code=self.http_status, message=self.error)
        if self.code is not None:
            return ProtocolError(code=self.code, message=self.error)
        return ExecutionError(content=[{"type": "text", "text": self.error}])


def result_text(result: McpResult, mark: Callable[[str], str] = str) -> str:
    """Return the text of a result.

    `mark` is applied to the tags around it (models/chat/control_tokens.py).
    """
    return f"{mark('<tool_response>')}\n{result_json(result)}\n{mark('</tool_response>')}"


def result_json(result: McpResult) -> str:
    """Return a result as JSON, with `<` and `[` escaped: text of a server cannot form tags."""
    text = orjson.dumps(result.to_json()).decode()
    return text.replace("<", "\\u003c").replace("[", "\\u005b")


def parse_result(text: str) -> McpResult:
    """Return the result in a text that `result_text` has made."""
    start = max(text.find('{"output"'), text.find('{"error"'))
    try:
        fields, _ = json.JSONDecoder().raw_decode(text, max(start, 0))
        return McpResult(**fields)
    except (ValueError, TypeError):
        return McpResult(error=_UNREADABLE, code=LOST_CODE)


def _cut(text: str | None, length: int) -> str | None:
    if text is None or len(text) <= length:
        return text
    return f"{text[:length]}\n[{len(text) - length} more characters were left out]"
