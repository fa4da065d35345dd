"""Metrics are sums over all projects, for who operates the server: nothing in them names one."""

from dataclasses import asdict

from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from api.services import Services
from models.access.scopes import ALL_SCOPES, Scope
from models.store.store import Store
from models.tables import DEFAULT_PROJECT
from tests.integration.keys import bearer, create_key
from tests.security.isolation.belongings import Belongings, Caller


def test_metrics_need_the_scope_that_keys_do_not_have_by_default(
    http: FlaskClient, key_store: Store
) -> None:
    others = create_key(key_store, DEFAULT_PROJECT, scopes=ALL_SCOPES - {Scope.METRICS})
    scraper = create_key(key_store, DEFAULT_PROJECT, scopes=frozenset({Scope.METRICS}))

    assert http.get("/metrics").status_code == 401
    assert Caller(http, bearer(others)).ask("GET", "/metrics").status_code == 403
    assert Caller(http, bearer(scraper)).ask("GET", "/metrics").status_code == 200
    assert Caller(http, bearer(scraper)).ask("GET", "/v1/responses").status_code == 403


def test_a_server_without_keys_shows_its_metrics(http: FlaskClient) -> None:
    assert http.get("/metrics").status_code == 200


def test_nothing_in_metrics_names_a_project_or_anything_of_it(
    app: OpenAPI, key_store: Store, us: Caller, them: Caller, theirs: Belongings
) -> None:
    for caller in (us, them):
        caller.ask("GET", f"/v1/responses/{theirs.response}?metadata[secret]=theirs")
    services: Services = app.extensions["antiphon"]
    services.metric_publisher.publish()
    key = create_key(key_store, DEFAULT_PROJECT, scopes=frozenset({Scope.METRICS}))

    text = Caller(them.http, bearer(key)).ask("GET", "/metrics").text

    assert "antiphon_jobs{" in text
    named = [*asdict(theirs).values(), theirs.response.removeprefix("resp_"), "secret", '"ours"']
    assert [name for name in named if name in text] == []
