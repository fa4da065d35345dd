"""`Idempotency-Key`: a request that is sent again finds the response that it made at first."""

import hashlib
from dataclasses import replace

import orjson
from flask import request

from api.services import Services
from models.errors import AppError, InvalidRequestError, ResponseNotFoundError
from models.ids import response_wire_id
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.idempotency_keys import RequestKey

HEADER = "Idempotency-Key"
MAX_LENGTH = 255


class KeyReusedError(AppError):
    """This Idempotency-Key was used for a request with another body."""

    http_status = 422
    type = "invalid_request_error"
    default_code = "idempotency_key_reused"


def key_of_request() -> RequestKey | None:
    """The key that the client gave, and the digest of what it is for."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_LENGTH or not key.isprintable():
        message = f"{HEADER} must have 1 to {MAX_LENGTH} printable characters."
        raise InvalidRequestError(message, param=HEADER)
    body = orjson.dumps(request.get_json(), option=orjson.OPT_SORT_KEYS)
    return RequestKey(key=key, digest=hashlib.sha256(body).digest())


def find_earlier(at: Services, project_id: str, used: RequestKey) -> ResponseRecord | None:
    """The response that was made with a key; None if the key is free.

    Raises `KeyReusedError` if it was made from another body, and a 404 if it was not stored and
    has been delivered.
    """
    found = at.store.idempotency_keys.find(project_id, used.key)
    if found is None:
        return None
    if found.digest != used.digest:
        raise KeyReusedError(param=HEADER)
    stored = at.store.responses.get(project_id, found.response_id)
    if stored is not None:
        return stored
    unstored = at.store.responses.get_unstored(project_id, found.response_id)
    content = at.unstored.get(found.response_id)
    if unstored is None or content is None:
        raise ResponseNotFoundError(response_wire_id(found.response_id))
    # Its events are in the log alone, also when it has ended: it is read as one that has not.
    return replace(
        unstored,
        status=ResponseStatus.QUEUED,
        parameters=content.parameters,
        metadata=content.metadata,
    )
