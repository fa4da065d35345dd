"""Fixtures of the tests of the dashboard: a server with a secret file, and a browser's visitor."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask_openapi3.openapi import OpenAPI

from models.access.scopes import Scope
from models.settings import Settings
from models.store.store import Store
from models.tables import DEFAULT_PROJECT
from tests.integration.dashboard.visitor import Visitor
from tests.integration.keys import create_key, with_secret

LOOKS = frozenset({Scope.DASHBOARD, Scope.RESPONSES_READ})
OPERATES = LOOKS | {Scope.RESPONSES_WRITE}

SignIn = Callable[..., Visitor]


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_secret(settings, tmp_path)


@pytest.fixture
def visitor(app: OpenAPI) -> Visitor:
    """Return somebody who has not signed in."""
    return Visitor(app.test_client())


@pytest.fixture
def sign_in(app: OpenAPI, key_store: Store) -> SignIn:
    """Return a function that makes a visitor with a key of a project, and signs them in."""

    def signed_in(
        scopes: frozenset[Scope] = OPERATES, project_id: str = DEFAULT_PROJECT
    ) -> Visitor:
        made, token = Visitor(app.test_client()), create_key(key_store, project_id, scopes)
        app.extensions["antiphon"].authenticator.forget()  # that it was open, perhaps
        answer = made.sign_in(token)
        assert answer.status_code == 303, answer.text
        return made

    return signed_in
