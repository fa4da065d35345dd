"""/v1/webhook_endpoints with the official client, and the requests it refuses."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from openai import BadRequestError, NotFoundError, OpenAI

from models.ids import new_id
from models.settings import Settings
from models.store.webhooks.endpoints import MAX_ENDPOINTS
from tests.integration.api.requests import error_of, parsed
from tests.integration.conftest import RunSql, running_app
from tests.integration.receiver import ALLOWED, Receiver

# An address that no test connects to.
URL = "https://203.0.114.7/hook"
PATH = "/v1/webhook_endpoints"


@pytest.fixture
def openai(app: OpenAPI) -> Iterator[OpenAI]:
    """Return the official client, connected to the app without a server."""
    transport = httpx2.WSGITransport(app)
    with httpx2.Client(transport=transport) as http:
        url = "http://localhost/v1"
        yield OpenAI(api_key="none", base_url=url, http_client=http, max_retries=0)


@pytest.fixture
def allowing_http(settings: Settings) -> Iterator[FlaskClient]:
    """Yield a client of an API that may send webhooks to this machine over HTTP."""
    networks = Settings(webhook_networks=ALLOWED).webhook_networks
    with running_app(settings.model_copy(update={"webhook_networks": networks})) as app:
        yield app.test_client()


def add(http: FlaskClient, **body: Any) -> dict[str, Any]:
    answer = http.post(PATH, json={"url": URL} | body)
    assert answer.status_code == 200, answer.text
    return parsed(answer)


def test_it_works(openai: OpenAI) -> None:
    created = openai.webhooks.create(
        name="mine", url=URL, event_types=["response.failed", "response.completed"]
    )
    changed = openai.webhooks.update(created.id, name="ours", event_types=["response.failed"])
    rotated = openai.webhooks.rotate_secret(created.id)

    read = openai.webhooks.retrieve(created.id)

    assert (read.name, read.url, read.event_types) == ("ours", URL, ["response.failed"])
    assert changed.created_at == created.created_at == read.created_at
    assert created.signing_secret.startswith("whsec_")
    assert rotated.signing_secret != created.signing_secret
    assert read.signing_secret_hint == f"whsec_…{rotated.signing_secret[-4:]}"
    assert openai.webhooks.delete(created.id).deleted
    with pytest.raises(NotFoundError):
        openai.webhooks.retrieve(created.id)


def test_the_list_goes_on_after_each_page(openai: OpenAI, http: FlaskClient) -> None:
    ids = [add(http)["id"] for _ in range(3)]

    assert [endpoint.id for endpoint in openai.webhooks.list(limit=2)] == ids[::-1]


def test_the_events_can_be_listed(openai: OpenAI) -> None:
    assert set(openai.webhooks.event_types.list().data) == {
        "response.completed",
        "response.incomplete",
        "response.failed",
        "response.cancelled",
    }


def test_the_secret_is_shown_once(http: FlaskClient) -> None:
    secret = add(http)["signing_secret"]

    assert secret not in http.get(PATH).text


def test_what_is_not_given_is_not_changed(http: FlaskClient) -> None:
    created = add(http, name="mine", event_types=["response.failed"])

    disabled = parsed(http.post(f"{PATH}/{created['id']}", json={"enabled": False}))
    enabled = parsed(http.post(f"{PATH}/{created['id']}", json={"enabled": True}))

    assert not disabled["enabled"]
    assert enabled["enabled"]
    kept = ("name", "url", "event_types", "signing_secret_hint")
    assert [enabled[name] for name in kept] == [created[name] for name in kept]


@pytest.mark.parametrize(
    "url",
    [
        "http://203.0.114.7/hook",
        "https://203.0.114.7:8443/hook",
        "https://127.0.0.1/hook",
        "https://127.1/hook",
        "https://0x7f.1/hook",
        "https://2130706433/hook",
        "https://localhost/hook",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/hook",
        "https://[::ffff:10.0.0.1]/hook",
        "https://[64:ff9b::a00:1]/hook",
        "https://[fe80::1]/hook",
        "https://224.0.0.1/",
        "https://0.0.0.0/",
        "https://user@203.0.114.7/hook",
        "https://ok@127.0.0.1/hook",
        "https://203.0.114.7\\@127.0.0.1/",
        "https://203.0.114.7/ hook",
        "https://203.0.114.7:0/",
        "https://203.0.114.7/hook#here",
        "https:///hook",
        "file:///etc/passwd",
        "gopher://203.0.114.7/",
        "hook",
    ],
)
def test_a_url_that_leads_elsewhere_is_refused(http: FlaskClient, sql: RunSql, url: str) -> None:
    answer = http.post(PATH, json={"url": url})

    assert answer.status_code == 400, answer.text
    error = error_of(answer)
    assert (error["param"], error["code"]) == ("url", "invalid_webhook_url")
    assert sql("SELECT 1 FROM webhook_endpoints") == []


def test_a_url_is_checked_as_well_when_it_is_changed(http: FlaskClient) -> None:
    path = f"{PATH}/{add(http)['id']}"

    assert http.post(path, json={"url": "https://127.0.0.1/"}).status_code == 400
    assert parsed(http.get(path))["url"] == URL


def test_networks_can_be_allowed_by_a_setting(allowing_http: FlaskClient) -> None:
    add(allowing_http, url="http://127.0.0.1:9000/hook")
    add(allowing_http, url="http://localhost:9000/hook")

    assert allowing_http.post(PATH, json={"url": "http://10.0.0.1/"}).status_code == 400


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "url", "missing_required_parameter"),
        ({"url": 7}, "url", "invalid_type"),
        ({"url": ""}, "url", "string_below_min_length"),
        ({"url": URL + "x" * 2048}, "url", "string_above_max_length"),
        ({"url": URL, "name": "x" * 129}, "name", "string_above_max_length"),
        ({"url": URL, "name": "a\0"}, "name", "invalid_value"),
        ({"url": URL, "event_types": []}, "event_types", "array_below_min_length"),
        ({"url": URL, "event_types": ["response.began"]}, "event_types[0]", "invalid_value"),
        ({"url": URL, "secret": "mine"}, "secret", "unknown_parameter"),
    ],
)
def test_a_bad_body_is_refused_by_name(
    http: FlaskClient, body: dict[str, Any], param: str, code: str
) -> None:
    answer = http.post(PATH, json=body)

    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["param"], error["code"]) == (param, code)


def test_a_project_has_a_limited_number_of_endpoints(http: FlaskClient) -> None:
    for _ in range(MAX_ENDPOINTS):
        add(http)

    answer = http.post(PATH, json={"url": URL})

    assert answer.status_code == 400
    assert str(MAX_ENDPOINTS) in error_of(answer)["message"]


def test_a_project_may_have_a_lower_limit(http: FlaskClient, sql: RunSql) -> None:
    sql("""UPDATE projects SET limits = '{"max_webhook_endpoints": 1}'""")
    add(http)

    answer = http.post(PATH, json={"url": URL})

    assert "at most 1 " in error_of(answer)["message"]


@pytest.mark.parametrize(
    ("method", "suffix", "body"),
    [
        ("GET", "", None),
        ("POST", "", {"name": "theirs"}),
        ("DELETE", "", None),
        ("POST", "/rotate_secret", {}),
        ("POST", "/test", {"event_type": "response.completed"}),
        ("GET", "/deliveries", None),
        ("POST", "/replay", {}),
    ],
)
def test_a_foreign_endpoint_looks_like_an_unknown_one(
    http: FlaskClient, sql: RunSql, method: str, suffix: str, body: dict[str, Any] | None
) -> None:
    foreign, unknown = new_id(), new_id()
    sql("INSERT INTO projects (project_id) VALUES ('other')")
    sql(
        "INSERT INTO webhook_endpoints (id, project_id, name, url, event_types, signing_secret)"
        " VALUES (%s, 'other', 'x', %s, '{response.failed}', 'whsec_x')",
        foreign,
        URL,
    )

    answers = [
        http.open(f"{PATH}/we_{endpoint_id.hex}{suffix}", method=method, json=body)
        for endpoint_id in (foreign, unknown)
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    theirs, nobodys = (error_of(answer)["message"] for answer in answers)
    assert theirs.replace(foreign.hex, "") == nobodys.replace(unknown.hex, "")
    assert sql("SELECT name FROM webhook_endpoints") == [("x",)]


def test_an_endpoint_can_be_tried_out(allowing_http: FlaskClient) -> None:
    with Receiver() as receiver:
        receiver.answer = lambda _: 418
        created = add(allowing_http, url=receiver.url)

        answer = allowing_http.post(
            f"{PATH}/{created['id']}/test", json={"event_type": "response.failed"}
        )

        assert parsed(answer)["status_code"] == 418
        [got] = receiver.received
        unwrapped = OpenAI(api_key="none").webhooks.unwrap(
            got.body, got.headers, secret=created["signing_secret"]
        )
        assert unwrapped.type == "response.failed"


def test_an_endpoint_that_cannot_be_reached_is_said_to_be_so(allowing_http: FlaskClient) -> None:
    created = add(allowing_http, url="http://127.0.0.1:1/hook")

    answer = allowing_http.post(
        f"{PATH}/{created['id']}/test", json={"event_type": "response.failed"}
    )

    assert answer.status_code == 400
    assert error_of(answer)["code"] == "webhook_endpoint_not_reached"


def test_replaying_what_is_no_response_is_refused(http: FlaskClient) -> None:
    answer = http.post(f"{PATH}/{add(http)['id']}/replay", json={"response_ids": ["x"]})

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "response_ids"


def test_the_client_sees_our_errors_as_its_own(openai: OpenAI) -> None:
    with pytest.raises(BadRequestError):
        openai.webhooks.create(name="x", url="ftp://x", event_types=["response.failed"])
