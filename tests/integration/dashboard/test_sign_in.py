"""Signing in to the dashboard: sessions, tokens against forged requests, roles, and headers."""

from collections.abc import Callable

import pytest
import redis
from flask_openapi3.openapi import OpenAPI
from werkzeug.test import TestResponse

from api.access.sessions import COOKIE, SESSION_S, Sessions, _serializer
from models.access.scopes import ALL_SCOPES, DEFAULT_SCOPES, Scope
from models.access.tokens import Token
from models.settings import Settings
from models.store.store import Store
from tests.integration.api.requests import create, parsed
from tests.integration.conftest import NO_REDIS, running_app
from tests.integration.dashboard.conftest import LOOKS, OPERATES, SignIn
from tests.integration.dashboard.visitor import BROWSER, Visitor
from tests.integration.keys import bearer, create_key

LIST = "/dashboard/responses"


def cookie_header(visitor: Visitor, token: Token) -> str:
    answer = visitor.sign_in(token)
    [header] = [value for value in answer.headers.getlist("Set-Cookie") if COOKIE in value]
    return header


def test_the_address_of_the_server_leads_to_the_dashboard(visitor: Visitor) -> None:
    answer = visitor.open("/")

    assert (answer.status_code, answer.location) == (302, LIST)


def test_an_open_server_asks_for_no_key(visitor: Visitor) -> None:
    assert "admin" in visitor.page(LIST)
    assert visitor.open("/dashboard/login").location == LIST


def test_without_a_session_every_page_asks_for_a_key(visitor: Visitor, key_store: Store) -> None:
    create_key(key_store)

    answer = visitor.open(f"{LIST}?status=failed")

    assert answer.status_code == 401
    assert '<input type="hidden" name="target" value="/dashboard/responses?status=failed">' in (
        answer.text
    )
    assert parsed(visitor.http.get(LIST))["error"]["code"] == "invalid_api_key"


def test_a_key_begins_a_session_that_goes_on_where_it_was_asked_for(
    visitor: Visitor, key_store: Store
) -> None:
    answer = visitor.sign_in(create_key(key_store), target=f"{LIST}?status=failed")

    assert (answer.status_code, answer.location) == (303, f"{LIST}?status=failed")
    assert visitor.open(LIST).status_code == 200


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/dashboard//evil", "/dashboard/\\evil", "/v1/x"],
)
def test_a_session_leads_to_no_page_of_others(
    visitor: Visitor, key_store: Store, target: str
) -> None:
    assert visitor.sign_in(create_key(key_store), target=target).location == LIST


def test_scripts_and_other_sites_do_not_get_the_cookie(visitor: Visitor, key_store: Store) -> None:
    token = create_key(key_store)

    header = cookie_header(visitor, token)

    assert all(part in header for part in ("HttpOnly", "SameSite=Strict", "Path=/dashboard"))
    assert "Secure" not in header
    assert token.secret not in header


def test_under_tls_the_cookie_never_leaves_it(app: OpenAPI, key_store: Store) -> None:
    visitor = Visitor(app.test_client(), "https://localhost")

    assert "Secure" in cookie_header(visitor, create_key(key_store))


def test_an_unknown_key_is_refused(visitor: Visitor, key_store: Store) -> None:
    create_key(key_store)

    answer = visitor.sign_in(Token.new())

    assert answer.status_code == 401
    assert "This is no valid key." in answer.text
    assert visitor.open(LIST).status_code == 401


def test_a_key_needs_the_scope_of_the_dashboard(visitor: Visitor, key_store: Store) -> None:
    answer = visitor.sign_in(create_key(key_store, scopes=DEFAULT_SCOPES))

    assert answer.status_code == 403
    assert "--scope dashboard" in answer.text


def test_guesses_are_limited_and_pages_without_a_session_are_none(
    visitor: Visitor, key_store: Store
) -> None:
    token = create_key(key_store)
    for _ in range(61):
        assert visitor.open(LIST).status_code == 401
    assert visitor.sign_in(token).status_code == 303

    for _ in range(60):
        assert visitor.sign_in(Token.new()).status_code == 401
    assert visitor.sign_in(Token.new()).status_code == 429


def test_a_session_ends_with_its_key(app: OpenAPI, sign_in: SignIn, key_store: Store) -> None:
    visitor = sign_in()
    assert visitor.open(LIST).status_code == 200
    [key] = key_store.api_keys.list_keys()

    key_store.api_keys.revoke(key.id)
    app.extensions["antiphon"].authenticator.forget()

    assert visitor.open(LIST).status_code == 401


def test_a_session_ends_after_half_a_day(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = sign_in()
    assert visitor.open(LIST).status_code == 200

    monkeypatch.setattr("api.access.sessions.SESSION_S", -1)

    assert SESSION_S == 12 * 3600
    assert visitor.open(LIST).status_code == 401


def _cut(cookie: str) -> str:
    return cookie[:-1]


def _swap(cookie: str) -> str:
    return cookie.replace(cookie[5], "A" if cookie[5] != "A" else "B", 1)


@pytest.mark.parametrize("forge", [_cut, _swap, lambda _: "", lambda _: "a.b.c"])
def test_a_forged_cookie_is_no_session(sign_in: SignIn, forge: Callable[[str], str]) -> None:
    visitor = sign_in()
    cookie = visitor.http.get_cookie(COOKIE, path="/dashboard")
    assert cookie is not None

    visitor.http.set_cookie(COOKIE, forge(cookie.value), path="/dashboard")

    assert visitor.open(LIST).status_code == 401


def test_a_session_outlives_another_key_in_the_secret_file(
    sign_in: SignIn, settings: Settings
) -> None:
    visitor = sign_in()
    cookie = visitor.http.get_cookie(COOKIE, path="/dashboard")
    assert cookie is not None
    assert settings.secret_file is not None
    settings.secret_file.write_text("another secret of the server\na secret of the server\n")

    with running_app(settings) as other:
        elsewhere = Visitor(other.test_client())
        elsewhere.http.set_cookie(COOKIE, cookie.value, path="/dashboard")
        assert elsewhere.open(LIST).status_code == 200


def sign_out(visitor: Visitor) -> TestResponse:
    return visitor.http.post(
        "/dashboard/logout", data={"csrf_token": visitor.token(LIST)}, headers=BROWSER
    )


def thief_of(visitor: Visitor, app: OpenAPI) -> Visitor:
    """Return somebody who has copied the cookie of a session."""
    cookie = visitor.http.get_cookie(COOKIE, path="/dashboard")
    assert cookie is not None
    thief = Visitor(app.test_client())
    thief.http.set_cookie(COOKIE, cookie.value, path="/dashboard")
    return thief


def test_signing_out_ends_the_session_wherever_its_cookie_is(
    app: OpenAPI, sign_in: SignIn, key_store: Store
) -> None:
    visitor, other = sign_in(), sign_in()
    thief = thief_of(visitor, app)
    assert thief.open(LIST).status_code == 200

    answer = sign_out(visitor)

    assert (answer.status_code, answer.location) == (303, "/dashboard/login")
    assert visitor.open(LIST).status_code == 401
    assert thief.open(LIST).status_code == 401
    assert thief.open(f"{LIST}/rows").status_code == 401
    assert other.open(LIST).status_code == 200
    assert key_store.audit.list_entries(limit=1)[0].action == "session.end"


def test_a_session_holds_in_all_processes_and_ends_in_all(
    app: OpenAPI, sign_in: SignIn, settings: Settings
) -> None:
    visitor = sign_in()
    with running_app(settings) as other:
        elsewhere = thief_of(visitor, other)
        assert elsewhere.open(LIST).status_code == 200

        sign_out(elsewhere)

    assert visitor.open(LIST).status_code == 401


def test_a_session_that_redis_has_lost_is_over(sign_in: SignIn, client: redis.Redis) -> None:
    visitor = sign_in()
    [name] = client.keys("antiphon:session:*")
    assert 0 < client.ttl(name) <= SESSION_S

    client.flushall()

    assert visitor.open(LIST).status_code == 401


def test_while_redis_is_away_no_session_counts_and_none_begins(
    sign_in: SignIn, key_store: Store, settings: Settings
) -> None:
    visitor, token = sign_in(), create_key(key_store)
    with running_app(settings.model_copy(update=NO_REDIS)) as without_redis:
        elsewhere = thief_of(visitor, without_redis)

        assert elsewhere.open(LIST).status_code == 503
        assert Visitor(without_redis.test_client()).sign_in(token).status_code == 503

    assert visitor.open(LIST).status_code == 200


def test_a_cookie_of_an_earlier_version_is_no_session(
    app: OpenAPI, visitor: Visitor, key_store: Store
) -> None:
    token = create_key(key_store)
    sessions: Sessions = app.extensions["antiphon"].sessions
    cookie = str(_serializer(sessions._keys()).dumps({"key": token.id, "nonce": "n"}))
    visitor.http.set_cookie(COOKIE, cookie, path="/dashboard")

    assert visitor.open(LIST).status_code == 401


def test_a_session_is_nothing_to_the_api(sign_in: SignIn) -> None:
    visitor = sign_in()
    cookie = visitor.http.get_cookie(COOKIE, path="/dashboard")
    assert cookie is not None

    answer = visitor.http.get("/v1/responses", headers={"Cookie": f"{COOKIE}={cookie.value}"})

    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("scopes", "role"),
    [(LOOKS, "read-only"), (OPERATES, "operator"), (ALL_SCOPES, "admin")],
)
def test_the_scopes_of_a_key_make_a_role(
    sign_in: SignIn, scopes: frozenset[Scope], role: str
) -> None:
    assert f">{role}</span>" in sign_in(scopes).page(LIST)


class TestForgedRequests:
    """Changes that no page of the dashboard has asked for."""

    def test_a_form_without_a_token_is_refused(self, visitor: Visitor) -> None:
        response_id = create(visitor.http)["id"]
        visitor.page(LIST)

        answer = visitor.http.post(f"{LIST}/{response_id}/cancel")

        assert answer.status_code == 403
        assert parsed(answer)["error"]["code"] == "invalid_csrf_token"

    def test_a_token_of_another_browser_is_refused(self, app: OpenAPI, visitor: Visitor) -> None:
        response_id = create(visitor.http)["id"]
        visitor.page(LIST)
        other = Visitor(app.test_client()).token()

        answer = visitor.http.post(f"{LIST}/{response_id}/cancel", data={"csrf_token": other})

        assert answer.status_code == 403

    def test_a_token_of_another_session_is_refused(self, sign_in: SignIn) -> None:
        mine, other = sign_in(), sign_in()

        answer = mine.http.post(
            "/dashboard/logout", data={"csrf_token": other.token(LIST)}, headers=BROWSER
        )

        assert answer.status_code == 403
        assert "The form is out of date" in answer.text

    def test_a_token_without_any_cookie_is_refused(self, app: OpenAPI, visitor: Visitor) -> None:
        token = visitor.token()

        answer = app.test_client().post("/dashboard/login", data={"csrf_token": token, "key": "x"})

        assert answer.status_code == 403

    def test_a_token_may_come_in_a_header(self, visitor: Visitor) -> None:
        response_id = create(visitor.http)["id"]

        answer = visitor.http.post(
            f"{LIST}/{response_id}/cancel", headers={"X-CSRF-Token": visitor.token(LIST)}
        )

        assert answer.status_code == 303

    @pytest.mark.parametrize("origin", ["https://evil.example", "null"])
    def test_a_page_of_another_site_is_refused(self, visitor: Visitor, origin: str) -> None:
        response_id = create(visitor.http)["id"]

        answer = visitor.http.post(
            f"{LIST}/{response_id}/cancel",
            data={"csrf_token": visitor.token(LIST)},
            headers={"Origin": origin},
        )

        assert answer.status_code == 403

    def test_a_program_with_a_key_needs_no_token(self, visitor: Visitor, key_store: Store) -> None:
        headers = bearer(create_key(key_store))
        answer = visitor.http.post(
            "/v1/responses", json={"input": "Hi.", "background": True}, headers=headers
        )

        path = f"{LIST}/{parsed(answer)['id']}/cancel"

        assert visitor.http.post(path, headers=headers).status_code == 303


def test_pages_load_nothing_from_elsewhere_and_run_no_inline_script(visitor: Visitor) -> None:
    answer = visitor.open(LIST)

    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "style=" not in answer.text
    assert "//" not in answer.text.replace("http://localhost/v1", "").replace("<!doctype", "")


def test_an_error_is_a_page_to_a_browser_and_json_to_a_program(visitor: Visitor) -> None:
    path = f"{LIST}/resp_nothing"

    page = visitor.open(path)

    assert page.status_code == 404
    assert "Response with id &#39;resp_nothing&#39; not found." in page.text
    assert parsed(visitor.http.get(path))["error"]["code"] == "response_not_found"
