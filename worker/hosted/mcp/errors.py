"""Errors of MCP servers, in words that may be shown to the model and the client."""

from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager

import anyio
import httpx2
from pydantic import ValidationError

from models.fetching.destinations import UrlRefusedError

INTERNAL_ERROR = -32603
"""Code of JSON-RPC for an error that has no other."""
_TIMED_OUT = -32001
"""Code by which the `mcp` package reports a request without an answer in time."""
_MAX_MESSAGE = 500


class McpServerError(Exception):
    """Raised if a server cannot be asked, or does not answer as it should; the message says why."""

    def __init__(
        self, message: str, code: int = INTERNAL_ERROR, *, http_status: int | None = None
    ) -> None:
        super().__init__(message[:_MAX_MESSAGE])
        self.code = code
        self.http_status = http_status
        """Status of the HTTP response by which the server has refused the request, if it was."""


class AbandonedError(Exception):
    """Nobody waits for the answer any more."""


@contextmanager
def server_errors() -> Iterator[None]:
    """Convert the errors of the `mcp` package and of its transport to `McpServerError`."""
    try:
        yield
    except (McpServerError, AbandonedError):
        raise
    except (Exception, CancelledError) as error:
        converted = _convert(_first(error))
        if converted is None:
            raise
        raise converted from None


def _convert(error: BaseException) -> McpServerError | None:
    """Return the error to raise instead; None for a fault of this server."""
    from mcp import MCPError

    match error:
        case McpServerError():
            return error
        case MCPError(code=code) if code == _TIMED_OUT:
            return McpServerError("the server has not answered in time", code)
        case MCPError():
            return McpServerError(f"the server answered: {error.message}", error.code)
        case TimeoutError():
            return McpServerError("the server has not answered in time", _TIMED_OUT)
        case UrlRefusedError():
            return McpServerError(f"the server's URL is refused: {error}")
        case httpx2.HTTPError():
            return McpServerError(f"the server cannot be reached: {error}")
        case ValidationError() | RuntimeError():
            # RuntimeError: an answer of another kind than was asked for.
            return McpServerError("the server's answer is not as the protocol demands")
        case OSError() | anyio.ClosedResourceError() | anyio.BrokenResourceError():
            return McpServerError("the connection to the server was lost")
        case CancelledError():
            return McpServerError("the connection to the server was lost")
    return None


def _first(error: BaseException) -> BaseException:
    """Return the first error in a group of errors, such as those of a task group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
