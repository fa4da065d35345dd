"""Errors that clients receive when a request is rejected or fails.

The response body is `{"error": {"message", "type", "param", "code"}}`, always with all four keys
(specification §5; `code` and `param` may be null). A class's docstring is its default message to
clients, so it is part of the API. Errors of HTTP itself are in `api/http/protocol_errors.py`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

MAX_MESSAGE_BYTES = 1000
"""Size of a message in UTF-8. Messages quote what clients sent, which may be megabytes."""
MAX_PARAM_BYTES = 300
"""Size of the name of a field, which clients choose if it is unknown."""


class AppError(Exception):
    """The server could not answer this request."""

    http_status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_code: ClassVar[str | None] = None
    retry_after_s: int | None = None
    """Value of the `Retry-After` header, in seconds; None if a repetition would fail again."""
    headers: Mapping[str, str] = MappingProxyType({})
    """Further headers of the answer."""

    def __init__(
        self, message: str | None = None, *, param: str | None = None, code: str | None = None
    ) -> None:
        self.message = shorten(message or (type(self).__doc__ or "").strip(), MAX_MESSAGE_BYTES)
        self.param = param and shorten(param, MAX_PARAM_BYTES)
        self.code = code or self.default_code
        super().__init__(self.message)

    def body(self) -> dict[str, dict[str, str | None]]:
        """Return the JSON body of the HTTP response."""
        return {"error": self.payload()}

    def payload(self) -> dict[str, str | None]:
        """Return the value of the body's `error` key."""
        return {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }


def shorten(text: str, max_bytes: int) -> str:
    """Return a text without its middle if it is longer than `max_bytes` in UTF-8."""
    if len(text) * 4 <= max_bytes:
        return text
    # A character has at most four bytes: only the ends of a long text need be encoded.
    ends = text if len(text) <= 2 * max_bytes else text[:max_bytes] + text[-max_bytes:]
    encoded = ends.encode(errors="replace")
    if ends is text and len(encoded) <= max_bytes:
        return text
    room = max_bytes - len(" … ".encode())
    head, tail = encoded[: room * 3 // 4], encoded[-(room // 4) :]
    return f"{head.decode(errors='ignore')} … {tail.decode(errors='ignore')}"


class InvalidRequestError(AppError):
    """The request is not valid."""

    http_status = 400
    type = "invalid_request_error"
    default_code = "invalid_value"


class ContextLengthExceededError(InvalidRequestError):
    """The input does not fit into the model's context."""

    default_code = "context_length_exceeded"


class ConversationLockedError(InvalidRequestError):
    """Another response is working on this conversation; try again when it has ended."""

    default_code = "conversation_locked"

    def __init__(self) -> None:
        super().__init__(param="conversation")


class ConversationFullError(InvalidRequestError):
    """The conversation would have more than 64 MiB or 10,000 items; delete some of them."""

    default_code = "conversation_full"

    def __init__(self) -> None:
        super().__init__(param="items")


class NotFoundError(AppError):
    """There is nothing at this address."""

    http_status = 404
    type = "not_found"
    default_code = "not_found"


class ResponseNotFoundError(NotFoundError):
    """No response has this id."""

    default_code = "response_not_found"

    def __init__(self, response_id: str) -> None:
        super().__init__(f"Response with id '{response_id}' not found.", param="response_id")


class ContentGoneError(NotFoundError):
    """The response was not stored, and its content is gone."""

    default_code = "response_not_found"

    def __init__(self, response_id: str) -> None:
        message = f"Response with id '{response_id}' was not stored, and its content is gone."
        super().__init__(message, param="response_id")


class ConversationNotFoundError(NotFoundError):
    """No conversation has this id."""

    default_code = "conversation_not_found"

    def __init__(self, wire_id: str) -> None:
        super().__init__(f"Conversation with id '{wire_id}' not found.", param="conversation")


class ItemNotFoundError(NotFoundError):
    """No item has this id."""

    default_code = "item_not_found"


class WebhookEndpointNotFoundError(NotFoundError):
    """No webhook endpoint has this id."""

    default_code = "webhook_endpoint_not_found"

    def __init__(self, endpoint_id: str) -> None:
        message = f"Webhook endpoint with id '{endpoint_id}' not found."
        super().__init__(message, param="webhook_endpoint_id")


class ProjectNotFoundError(NotFoundError):
    """No project has this id."""

    default_code = "project_not_found"

    def __init__(self, project_id: str) -> None:
        super().__init__(f"Project with id '{project_id}' not found.", param="project_id")


class ApiKeyNotFoundError(NotFoundError):
    """No API key has this id."""

    default_code = "api_key_not_found"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"API key with id '{key_id}' not found.", param="key_id")


class ModelNotFoundError(NotFoundError):
    """No such model is served here."""

    default_code = "model_not_found"


class PreviousResponseNotFoundError(NotFoundError):
    """No response has the id given in previous_response_id."""

    default_code = "previous_response_not_found"


class ForbiddenError(AppError):
    """This request is not allowed."""

    http_status = 403
    type = "invalid_request_error"
    default_code = "forbidden"


class InvalidApiKeyError(AppError):
    """No valid API key: send one as `Authorization: Bearer sk-antiphon-…`."""

    http_status = 401
    type = "invalid_request_error"
    default_code = "invalid_api_key"


class InsufficientPermissionsError(ForbiddenError):
    """The API key has not the scope that this request needs."""

    default_code = "insufficient_permissions"

    def __init__(self, scope: str, *, param: str | None = None) -> None:
        message = f"This request needs the scope '{scope}', which the API key has not."
        super().__init__(message, param=param)


class PermissionMissingError(ForbiddenError):
    """The project has not the permission that this request needs."""

    default_code = "insufficient_permissions"

    def __init__(self, permission: str, *, param: str) -> None:
        message = f"This request needs the permission '{permission}', which the project has not."
        super().__init__(message, param=param)


class TooManyFailedAttemptsError(AppError):
    """Too many requests without a valid API key came from this address; try again later."""

    http_status = 429
    type = "too_many_requests"
    default_code = "too_many_failed_attempts"
    retry_after_s = 60


class QueueFullError(AppError):
    """Too many responses wait to be generated; try again later."""

    http_status = 429
    type = "too_many_requests"
    default_code = "queue_full"
    retry_after_s = 10


class RateLimitExceededError(AppError):
    """The project has used its limit for this minute; try again later."""

    http_status = 429
    type = "too_many_requests"
    default_code = "rate_limit_exceeded"

    def __init__(self, message: str, *, wait_ms: int, headers: Mapping[str, str]) -> None:
        # Clients read a time out of messages as of OpenAI's: "Please try again in 1.2s".
        super().__init__(f"{message} Please try again in {wait_ms / 1000:.3g}s.")
        self.retry_after_s = max(1, -(-wait_ms // 1000))
        self.headers = {"retry-after-ms": str(max(wait_ms, 1)), **headers}


class InsufficientQuotaError(AppError):
    """The project's limits do not allow this request, now or later."""

    http_status = 429
    type = "insufficient_quota"
    default_code = "insufficient_quota"
    headers: Mapping[str, str] = MappingProxyType({"x-should-retry": "false"})


class OverloadedError(AppError):
    """The server has no room for this request now; try again."""

    http_status = 503
    default_code = "server_overloaded"
    retry_after_s = 2


class ServerQueueFullError(OverloadedError):
    """Too many responses of all projects wait to be generated; try again later."""

    default_code = "queue_full"
    retry_after_s = 10


class TooManyBodyBytesError(OverloadedError):
    """This client has too many bytes of request bodies in flight; try again."""

    http_status = 429
    type = "too_many_requests"
    default_code = "too_many_body_bytes"


class TooManyStreamsError(OverloadedError):
    """This client has too many open streams; close some, or try again."""

    http_status = 429
    type = "too_many_requests"
    default_code = "too_many_streams"


class TooManyFetchesError(OverloadedError):
    """The server fetches images for too many requests of this project; try again."""

    http_status = 429
    type = "too_many_requests"
    default_code = "too_many_fetches"


class UnavailableError(AppError):
    """A service that the server stands on is out of reach; try again."""

    http_status = 503
    default_code = "service_unavailable"
    retry_after_s = 2


class ContentLockedError(UnavailableError):
    """Stored content is encrypted with a key that the server does not have; its operator has it."""


class ContentDamagedError(AppError):
    """Stored content cannot be decrypted: it was changed, or moved, since it was written."""


class ContentLostError(AppError):
    """The request was not stored and its content is gone; send it again."""


class DatabaseBusyError(UnavailableError):
    """The database is busy; try again."""
