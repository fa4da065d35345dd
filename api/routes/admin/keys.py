"""/admin/v1/keys: create, list, revoke and rotate API keys."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel

from api.access.auditing import audit_object
from api.access.current import current_caller
from api.routes.admin.answers import ADMIN, PREFIX, to_json
from api.routes.queries import Query
from api.services import services
from models.access.digests import NoSecretFileError, digest_of
from models.access.tokens import Token
from models.errors import ApiKeyNotFoundError, InvalidRequestError, ProjectNotFoundError
from models.schemas.admin.keys import CreateKey, KeyList, KeyResource, KeyWithSecret, RotateKey
from models.store.access.api_keys import ApiKeyRecord
from models.store.access.issue import expiry, issue_key, key_resource, key_with_secret
from models.tables import DEFAULT_PROJECT

blueprint = APIBlueprint("admin_keys", __name__, url_prefix=f"{PREFIX}/keys", abp_tags=[ADMIN])

_OPEN = "open"
"""Creator of keys that were created while the server was open."""


class KeyPath(BaseModel):
    """Path parameters of a key."""

    key_id: str


class KeysQuery(Query):
    """Query parameters for listing keys."""

    project_id: str | None = None


@blueprint.post("", responses={200: KeyWithSecret})
def create(body: CreateKey) -> Response:
    """Create a key; it is returned only this once."""
    token = Token.new()
    with _refuse_without_secret_file():
        key = issue_key(services().store.api_keys, token, body, created_by=_creator())
    if key is None:
        raise ProjectNotFoundError(body.project_id or DEFAULT_PROJECT)
    return _respond_with_secret(key, token)


@blueprint.get("", responses={200: KeyList})
def list_keys(query: KeysQuery) -> Response:
    """List keys, newest first, with those that are valid no longer."""
    found = services().store.api_keys.list_keys(query.project_id)
    return to_json(KeyList(data=[key_resource(key) for key in found]))


@blueprint.delete("/<string:key_id>", responses={200: KeyResource})
def revoke(path: KeyPath) -> Response:
    """Revoke a key; requests, streams and WebSockets with it end within five seconds."""
    key = services().store.api_keys.revoke(path.key_id)
    if key is None:
        raise ApiKeyNotFoundError(path.key_id)
    services().authenticator.forget()
    audit_object(key.id, key.project_id)
    return to_json(key_resource(key))


@blueprint.post("/<string:key_id>/rotate", responses={200: KeyWithSecret})
def rotate(path: KeyPath, body: RotateKey) -> Response:
    """Create a key with the rights of another, which expires after a while."""
    token, api_keys = Token.new(), services().store.api_keys
    with _refuse_without_secret_file():
        digest = digest_of(token, api_keys.vault)
    key = api_keys.rotate(
        path.key_id,
        token.id,
        digest,
        created_by=_creator(),
        grace_s=body.grace_hours * 3600,
        expires_at=expiry(body.expires_in_days),
    )
    if key is None:
        raise ApiKeyNotFoundError(path.key_id)
    services().authenticator.forget()
    return _respond_with_secret(key, token)


def _respond_with_secret(key: ApiKeyRecord, token: Token) -> Response:
    audit_object(key.id, key.project_id)
    return to_json(key_with_secret(key, token))


@contextmanager
def _refuse_without_secret_file() -> Iterator[None]:
    try:
        yield
    except NoSecretFileError as error:
        raise InvalidRequestError(str(error), code="secret_file_missing") from None


def _creator() -> str:
    return current_caller().key_id or _OPEN
