"""Every route with every kind of credentials that give no right: nothing is shown or changed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.access.scopes import ALL_SCOPES
from models.access.tokens import Token
from models.store.store import Store
from tests.integration.api.requests import error_of
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk
from tests.integration.keys import bearer, create_key
from tests.security.isolation.belongings import Belongings, Caller
from tests.security.isolation.test_routes import OF_OPERATORS, REQUESTS, Request, snapshot

BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello."}]}),
    ("/v1/responses/compact", {"model": "default", "input": "Hello."}),
    ("/v1/conversations", {}),
    ("/v1/responses/input_tokens", {"input": "Hello."}),
    ("/v1/responses", {"input": "Hello."}),
    ("/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/hook"}),
]
"""Routes whose ids are in their bodies, with one that is accepted."""


def _request_of_operators(endpoint: str) -> Callable[[Belongings], Request]:
    method, path = OF_OPERATORS[endpoint]
    return lambda _: (method, path, {} if method == "POST" else None)


_ALL: dict[str, Callable[[Belongings], Request]] = (
    REQUESTS
    | {path: lambda of, path=path, body=body: ("POST", path, body) for path, body in BODIES}
    | {endpoint: _request_of_operators(endpoint) for endpoint in OF_OPERATORS}
)


def none(_store: Store, _sql: RunSql, _desk: Desk) -> dict[str, str]:
    return {}


def unknown(_store: Store, _sql: RunSql, _desk: Desk) -> dict[str, str]:
    return bearer(Token.new())


def wrong_checksum(store: Store, _sql: RunSql, _desk: Desk) -> dict[str, str]:
    text = create_key(store).reveal()
    other = "b" if text.endswith("a") else "a"
    return {"Authorization": f"Bearer {text[:-1]}{other}"}


def wrong_secret(store: Store, _sql: RunSql, _desk: Desk) -> dict[str, str]:
    return bearer(Token(create_key(store).id, Token.new().secret))


def revoked(store: Store, _sql: RunSql, _desk: Desk) -> dict[str, str]:
    token = create_key(store)
    store.api_keys.revoke(token.id)
    return bearer(token)


def expired(store: Store, sql: RunSql, _desk: Desk) -> dict[str, str]:
    token = create_key(store)
    past = datetime.now(UTC) - timedelta(seconds=1)
    sql("UPDATE api_keys SET expires_at = %s WHERE id = %s", past, token.id)
    return bearer(token)


def deleted_project(store: Store, sql: RunSql, desk: Desk) -> dict[str, str]:
    token = create_key(store, desk.add_project("deleted"))
    sql("UPDATE projects SET deleted_at = now() WHERE project_id = 'deleted'")
    return bearer(token)


@pytest.fixture(
    params=[none, unknown, wrong_checksum, wrong_secret, revoked, expired, deleted_project]
)
def refused(
    request: pytest.FixtureRequest, http: FlaskClient, key_store: Store, sql: RunSql, desk: Desk
) -> Caller:
    """Return a caller whose credentials give no right."""
    return Caller(http, request.param(key_store, sql, desk))


def test_they_are_refused_by_every_route(refused: Caller, them: Caller, theirs: Belongings) -> None:
    before = snapshot(them, theirs)

    messages = set()
    for number, (name, make) in enumerate(_ALL.items()):
        # From many addresses, each of which may fail a number of times.
        refused.http.environ_base["REMOTE_ADDR"] = f"127.0.0.{1 + number % 8}"
        answer = refused.ask(*make(theirs))
        assert answer.status_code == 401, name
        messages.add(error_of(answer)["message"])

    assert len(messages) == 1
    assert snapshot(them, theirs) == before


def test_a_key_without_scopes_is_refused_by_every_route(
    http: FlaskClient, key_store: Store, them: Caller, theirs: Belongings
) -> None:
    before = snapshot(them, theirs)
    caller = Caller(http, bearer(create_key(key_store, scopes=frozenset())))

    for name, make in _ALL.items():
        answer = caller.ask(*make(theirs))
        assert answer.status_code == 403, name
        assert error_of(answer)["code"] == "insufficient_permissions"

    assert snapshot(them, theirs) == before


def test_the_bodies_are_accepted_with_a_key(
    http: FlaskClient, key_store: Store, theirs: Belongings
) -> None:
    caller = Caller(http, bearer(create_key(key_store, scopes=ALL_SCOPES)))

    for path, body in BODIES:
        assert caller.ask("POST", path, body).status_code == 200, path
