"""Two projects with a key each, and what one of them has."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.services import Services
from models.encryption.reasoning import encrypt_reasoning
from models.settings import Settings
from models.store.store import Store
from models.tables import DEFAULT_PROJECT
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from tests.integration.keys import bearer, create_key, with_secret
from tests.polling import eventually
from tests.security.isolation.belongings import Belongings, Caller


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    networks = Settings(webhook_networks="127.0.0.0/8").webhook_networks
    return with_secret(settings, tmp_path).model_copy(update={"webhook_networks": networks})


@pytest.fixture
def us(http: FlaskClient, key_store: Store, desk: Desk) -> Caller:
    """Return the caller that tries to reach what others have."""
    return Caller(http, bearer(create_key(key_store, desk.add_project("ours"))))


@pytest.fixture
def them(http: FlaskClient, key_store: Store) -> Caller:
    """Return the caller whose things they are."""
    return Caller(http, bearer(create_key(key_store, DEFAULT_PROJECT)))


@pytest.fixture
def theirs(them: Caller, worker: InProcessWorker) -> Belongings:
    """Return one of everything that has an id, of the other project."""
    first = _create_response(them, input="What is the secret?", metadata={"secret": "theirs"})
    conversation = them.post("/v1/conversations", {"items": [_message("A secret of theirs.")]})
    items = them.get(f"/v1/conversations/{conversation['id']}/items")["data"]
    endpoint = them.post("/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/hook"})
    services: Services = them.http.application.extensions["antiphon"]
    return Belongings(
        response=first["id"],
        output_item=first["output"][0]["id"],
        conversation=conversation["id"],
        conversation_item=items[0]["id"],
        webhook_endpoint=endpoint["id"],
        encrypted_content=encrypt_reasoning(services.cipher, DEFAULT_PROJECT, "A secret thought."),
    )


def _create_response(caller: Caller, **body: Any) -> dict[str, Any]:
    created = caller.post("/v1/responses", {"background": True} | body)
    path = f"/v1/responses/{created['id']}"
    return eventually(lambda: _completed(caller.get(path)))


def _completed(response: dict[str, Any]) -> dict[str, Any] | None:
    return response if response["status"] == "completed" else None


def _message(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}
