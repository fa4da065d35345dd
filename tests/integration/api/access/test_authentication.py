"""API keys: who is let in, with which rights, and for which project."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from api.access.authenticator import Authenticator
from api.access.route_scopes import PUBLIC, SCOPES
from models.access.scopes import ALL_SCOPES, Scope
from models.access.tokens import Token
from models.errors import InvalidApiKeyError, TooManyFailedAttemptsError, UnavailableError
from models.settings import Settings
from models.store.store import Store
from models.tables import DEFAULT_PROJECT
from tests.integration.api.requests import parsed
from tests.integration.conftest import NO_DATABASE, RunSql
from tests.integration.desk import Desk
from tests.integration.keys import bearer, create_key


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authenticator(key_store: Store, clock: Clock) -> Authenticator:
    return Authenticator(key_store.api_keys, key_store.projects, clock=clock)


def test_an_open_server_needs_no_key(http: FlaskClient) -> None:
    assert http.get("/v1/responses").status_code == 200
    unused = {"Authorization": "Bearer unused"}
    assert http.get("/v1/responses", headers=unused).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer unused",
        f"Bearer {Token.new().reveal()}",
        f"Basic {Token.new().reveal()}",
        Token.new().reveal(),
        "Bearer",
        "Bearer \xff",
    ],
)
def test_once_there_is_a_key_others_are_refused_with_one_message(
    http: FlaskClient, key_store: Store, header: str | None
) -> None:
    create_key(key_store)

    answer = http.get("/v1/responses", headers={"Authorization": header} if header else {})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    error = parsed(answer)["error"]
    assert (error["code"], error["type"]) == ("invalid_api_key", "invalid_request_error")
    assert error["message"] == InvalidApiKeyError().message


def test_a_valid_key_is_let_in(http: FlaskClient, key_store: Store) -> None:
    token = create_key(key_store)

    assert http.get("/v1/responses", headers=bearer(token)).status_code == 200


def test_another_secret_with_the_id_of_a_key_is_refused(
    http: FlaskClient, key_store: Store
) -> None:
    token = create_key(key_store)
    forged = Token(token.id, Token.new().secret)

    assert http.get("/v1/responses", headers=bearer(token)).status_code == 200
    assert http.get("/v1/responses", headers=bearer(forged)).status_code == 401


def revoke(store: Store, token: Token, _sql: RunSql) -> None:
    assert store.api_keys.revoke(token.id) is not None


def expire(_store: Store, token: Token, sql: RunSql) -> None:
    sql("UPDATE api_keys SET expires_at = %s", datetime.now(UTC) - timedelta(seconds=1))


def delete_project(_store: Store, token: Token, sql: RunSql) -> None:
    sql("UPDATE projects SET deleted_at = now()")


@pytest.mark.parametrize("withdraw", [revoke, expire, delete_project])
def test_a_key_that_was_withdrawn_is_refused_within_five_seconds(
    authenticator: Authenticator,
    key_store: Store,
    clock: Clock,
    sql: RunSql,
    withdraw: Callable[[Store, Token, RunSql], None],
) -> None:
    token = create_key(key_store)
    header = bearer(token)["Authorization"]
    assert authenticator.authenticate(header, "192.0.2.1").key_id == token.id

    withdraw(key_store, token, sql)

    clock.now = 4.5
    with pytest.raises(InvalidApiKeyError):
        authenticator.authenticate(header, "192.0.2.1")


def test_the_first_key_closes_an_open_server_within_five_seconds(
    authenticator: Authenticator, key_store: Store, clock: Clock
) -> None:
    assert authenticator.authenticate(None, "192.0.2.1").project_id == DEFAULT_PROJECT

    token = create_key(key_store)

    clock.now = 4.5
    with pytest.raises(InvalidApiKeyError):
        authenticator.authenticate(None, "192.0.2.1")
    assert key_store.api_keys.revoke(token.id) is not None
    clock.now = 9
    assert not authenticator.is_open(), "a revoked key must not open the server again"


def test_an_open_server_stays_open_while_the_database_is_away(
    key_store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(key_store.api_keys, key_store.projects, clock=clock)
    assert authenticator.is_open()
    clock.now = 10

    def fail() -> bool:
        raise UnavailableError

    monkeypatch.setattr(type(key_store.api_keys), "any_exists", lambda _: fail())

    assert authenticator.is_open()


def test_a_server_that_never_saw_the_database_lets_nobody_in() -> None:
    url = NO_DATABASE["database_url"]
    with closing(Store.open(url, pool_size=1)) as store, pytest.raises(UnavailableError):
        Authenticator(store.api_keys, store.projects).authenticate(None, "192.0.2.1")


def test_guesses_from_one_address_are_refused_and_known_keys_are_not(
    authenticator: Authenticator, key_store: Store
) -> None:
    known = bearer(create_key(key_store))["Authorization"]
    assert authenticator.authenticate(known, "192.0.2.1")
    for _ in range(60):
        with pytest.raises(InvalidApiKeyError):
            authenticator.authenticate(bearer(Token.new())["Authorization"], "192.0.2.1")

    with pytest.raises(TooManyFailedAttemptsError):
        authenticator.authenticate(bearer(Token.new())["Authorization"], "192.0.2.1")
    assert authenticator.authenticate(known, "192.0.2.1")
    assert authenticator.authenticate(known, "192.0.2.2")


@pytest.mark.parametrize("scope", sorted(ALL_SCOPES))
def test_every_route_needs_its_scope(
    app: OpenAPI, http: FlaskClient, key_store: Store, scope: Scope
) -> None:
    token = create_key(key_store, scopes=ALL_SCOPES - {scope})
    for rule in app.url_map.iter_rules():
        path = rule.rule
        for name in rule.arguments:
            path = path.replace(f"<string:{name}>", "x").replace(f"<path:{name}>", "x")
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            if rule.websocket:
                continue
            answer = http.open(path, method=method, headers=bearer(token), json={})
            is_refused = SCOPES.get(rule.endpoint) is scope
            code = "insufficient_permissions"
            assert (answer.status_code == 403 and parsed(answer)["error"]["code"] == code) == (
                is_refused
            ), rule.rule
            if is_refused:
                assert f"'{scope}'" in parsed(answer)["error"]["message"]


def test_every_route_has_a_row(app: OpenAPI) -> None:
    routes = {rule.endpoint for rule in app.url_map.iter_rules()}

    assert routes == SCOPES.keys() | PUBLIC
    assert not SCOPES.keys() & PUBLIC


def test_all_but_the_probes_need_a_key(app: OpenAPI, http: FlaskClient, key_store: Store) -> None:
    create_key(key_store)
    for rule in app.url_map.iter_rules():
        path = rule.rule
        for name in rule.arguments:
            path = path.replace(f"<string:{name}>", "x").replace(f"<path:{name}>", "x")
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            is_refused = http.open(path, method=method).status_code == 401
            assert is_refused == (rule.endpoint not in PUBLIC), rule.rule


def test_what_is_not_there_needs_a_key_too(http: FlaskClient, key_store: Store) -> None:
    token = create_key(key_store)

    assert http.get("/v1/nothing").status_code == 401
    assert http.get("/v1/nothing", headers=bearer(token)).status_code == 404


def test_a_key_sees_its_own_project_only(http: FlaskClient, key_store: Store, desk: Desk) -> None:
    other = desk.add_project("other")
    ours = desk.create()
    of_ours, of_other = create_key(key_store), create_key(key_store, other)
    path = f"/v1/responses/resp_{ours.id.hex}"

    assert http.get(path, headers=bearer(of_ours)).status_code == 200
    assert http.get(path, headers=bearer(of_other)).status_code == 404
    assert parsed(http.get("/v1/responses", headers=bearer(of_other)))["data"] == []


def test_a_rotation_of_the_secret_file_renews_the_digest_of_a_key_that_is_used(
    authenticator: Authenticator, key_store: Store, settings: Settings, sql: RunSql
) -> None:
    token, path = create_key(key_store), settings.secret_file
    assert path is not None
    header = f"Bearer {token.reveal()}"
    old = path.read_text()
    before = sql("SELECT digest, pepper FROM api_keys")
    path.write_text(f"the next secret of the server\n{old}")
    key_store.database.vault.file.reread()  # type: ignore[union-attr] # it has one

    assert authenticator.authenticate(header, "address").key_id == token.id

    [renewed] = sql("SELECT digest, pepper FROM api_keys")
    assert renewed != before[0]
    path.write_text("the next secret of the server\n")
    key_store.database.vault.file.reread()  # type: ignore[union-attr]
    authenticator.forget()
    assert authenticator.authenticate(header, "address").key_id == token.id
    assert sql("SELECT digest, pepper FROM api_keys") == [renewed]


def test_a_digest_that_cannot_be_renewed_lets_its_key_in(
    authenticator: Authenticator,
    key_store: Store,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token, path = create_key(key_store), settings.secret_file
    assert path is not None
    path.write_text(f"the next secret of the server\n{path.read_text()}")
    key_store.database.vault.file.reread()  # type: ignore[union-attr]

    def fail(*_: object) -> None:
        raise UnavailableError

    monkeypatch.setattr(key_store.api_keys, "renew_digest", fail)

    assert authenticator.authenticate(f"Bearer {token.reveal()}", "address").key_id == token.id
