"""Errors that only clients of a WebSocket receive; docstrings are the messages."""

from models.errors import InvalidRequestError, NotFoundError


class UpgradeRequiredError(InvalidRequestError):
    """The server speaks version 13 of the WebSocket protocol."""

    http_status = 426
    default_code = "unsupported_websocket_version"


class ConnectionExpiredError(InvalidRequestError):
    """The connection has reached its age limit; open another."""

    default_code = "websocket_connection_limit_reached"


class InvalidStreamIdError(InvalidRequestError):
    """stream_id must be 1 to 256 letters, digits, underscores, hyphens or periods."""

    default_code = "invalid_stream_id"

    def __init__(self) -> None:
        super().__init__(param="stream_id")


class StreamLimitReachedError(InvalidRequestError):
    """This connection has as many streams as it may name; use one again, or open another."""

    default_code = "websocket_stream_limit_reached"

    def __init__(self) -> None:
        super().__init__(param="stream_id")


class ResponseNotRunningError(NotFoundError):
    """No such response runs on this connection."""

    default_code = "response_not_found"
