"""`Idempotency-Key` header: a repeated request returns the response that it created at first."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import orjson
from flask import request

from api.services import Services
from models.encryption.response import ResponseCipher
from models.errors import (
    AppError,
    InvalidRequestError,
    ResponseNotFoundError,
    UnavailableError,
)
from models.ids import response_wire_id
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.idempotency_keys import KeyTakenError, RequestKey

FindResponse = Callable[[Services, str, UUID], ResponseRecord | None]
"""Function that returns a response of a project by its id, if clients can find it."""

HEADER = "Idempotency-Key"
MAX_LENGTH = 255


class KeyReusedError(AppError):
    """This Idempotency-Key was used for a request with another body."""

    http_status = 422
    type = "invalid_request_error"
    default_code = "idempotency_key_reused"


def create_once(
    services: Services,
    project_id: str,
    create: Callable[[RequestKey | None], ResponseRecord],
    find: FindResponse,
) -> tuple[ResponseRecord, bool]:
    """Return the response of the current request, and True if this request has created it.

    `create` creates it, unless an earlier request has the same key: then it is the response of that
    one.
    """
    key = read_request_key()
    if key and (earlier := find_earlier_response(services, project_id, key, find)):
        return earlier, False
    try:
        return create(key), True
    except KeyTakenError:
        assert key is not None
        taken = find_earlier_response(services, project_id, key, find)
        if taken is None:
            raise UnavailableError from None
        return taken, False


def read_request_key() -> RequestKey | None:
    """Return the request's idempotency key and the digest of its body, or None without a key.

    Raise a 400 if the key is empty, too long or not printable.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_LENGTH or not key.isprintable():
        message = f"{HEADER} must have 1 to {MAX_LENGTH} printable characters."
        raise InvalidRequestError(message, param=HEADER)
    body = orjson.dumps(request.get_json(), option=orjson.OPT_SORT_KEYS)
    return RequestKey(key=key, digest=hashlib.sha256(body).digest())


def find_earlier_response(
    services: Services, project_id: str, request_key: RequestKey, find: FindResponse
) -> ResponseRecord | None:
    """Return the response that was created with a key, or None if the key is unused.

    Raise `KeyReusedError` if it was created from another body, and a 404 if it was not stored and
    has been delivered, or its time is over.
    """
    found = services.store.idempotency_keys.find(project_id, request_key)
    if found is None:
        return None
    if not found.is_same:
        raise KeyReusedError(param=HEADER)
    record = find(services, project_id, found.response_id)
    return record or _find_undelivered(services, project_id, found.response_id)


def _find_undelivered(services: Services, project_id: str, response_id: UUID) -> ResponseRecord:
    unstored = services.store.responses.get_unstored(project_id, response_id)
    if unstored is None or unstored.is_temporary:
        raise ResponseNotFoundError(response_wire_id(response_id))
    content = services.unstored.get(ResponseCipher.of(unstored))
    if content is None:
        raise ResponseNotFoundError(response_wire_id(response_id))
    # Its events are in the log alone, even after its end: mark it unfinished, so that the log
    # is read and not the archive.
    return replace(
        unstored,
        status=ResponseStatus.QUEUED,
        parameters=content.parameters,
        metadata=content.metadata,
    )
