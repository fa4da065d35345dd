"""Errors in a request as a message of HTTP, whatever its route; docstrings are the messages."""

from models.errors import AppError, ForbiddenError, InvalidRequestError


class InvalidJsonError(InvalidRequestError):
    """The body is not valid JSON."""

    default_code = "invalid_json"


class RequestTooLargeError(InvalidRequestError):
    """The body is larger than the server accepts."""

    http_status = 413
    default_code = "request_too_large"


class MalformedRequestError(InvalidRequestError):
    """The request is not valid HTTP."""

    default_code = "malformed_request"


class HeadTooLargeError(InvalidRequestError):
    """The request line and headers are larger than the server accepts."""

    http_status = 431
    default_code = "headers_too_large"


class RequestTimeoutError(InvalidRequestError):
    """The request did not arrive in time."""

    http_status = 408
    default_code = "request_timeout"


class UnsupportedMediaTypeError(InvalidRequestError):
    """The body must be application/json."""

    http_status = 415
    default_code = "unsupported_media_type"


class HostNotAllowedError(ForbiddenError):
    """This host is not allowed."""

    default_code = "host_not_allowed"

    def __init__(self, host: str) -> None:
        super().__init__(
            f"Host {host[:100]!r} is not a name of this server; ANTIPHON_ALLOWED_HOSTS adds names."
        )


class OriginNotAllowedError(ForbiddenError):
    """This origin is not allowed."""

    default_code = "origin_not_allowed"

    def __init__(self, origin: str) -> None:
        super().__init__(
            f"Pages of origin {origin[:100]!r} may not use this server; "
            "ANTIPHON_ALLOWED_ORIGINS adds origins."
        )


class MethodNotAllowedError(AppError):
    """This address does not take this method."""

    http_status = 405
    type = "invalid_request_error"
    default_code = "method_not_allowed"
