"""A project with a row of every kind, each of which holds a word that no other project has."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from models.access.digests import KeyDigest
from models.access.scopes import Scope
from models.ids import new_id
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.access.api_keys import ApiKeyRecord
from models.store.conversations import ConversationRecord
from models.store.finish import TerminalRecord
from models.store.idempotency_keys import RequestKey
from models.store.webhooks.deliveries import TakenDelivery
from tests.factories import input_message, output_message, stored_response
from tests.integration.desk import Desk

METADATA = {"team": "blue"}
"""Metadata that the responses of every project have."""
GIVEN_ID = "item_of_the_client"
KEY = "key-1"
ENDPOINT = {"name": "hook", "url": "https://example.com/", "event_types": ["response.completed"]}
_DIGEST = b"0" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Ids of the rows of a project."""

    project_id: str
    word: str
    """Word in all that the project has stored."""
    finished: ResponseRecord
    running: ResponseRecord
    temporary: ResponseRecord
    conversation_id: UUID
    endpoint_id: UUID
    delivery: TakenDelivery
    key_id: str


def settle(desk: Desk, project_id: str) -> Tenant:
    """Add a project with a row of every kind."""
    desk.add_project(project_id)
    store, word = desk.store, f"word-of-{project_id}"
    endpoint_id, conversation_id, key_id = new_id(), new_id(), f"key-of-{project_id}"
    store.api_keys.create(api_key(project_id, key_id))
    store.projects.encryption_key(project_id)
    store.webhooks.create(project_id, endpoint_id, f"whsec_{word}", ENDPOINT | {"name": word})
    finished, given_up = _respond(desk, project_id, word), _respond(desk, project_id, word)
    _finish(desk, finished, word)
    [delivery] = store.deliveries.take()
    _finish(desk, given_up, word)
    desk.sql("UPDATE webhook_deliveries SET status = 'dead' WHERE response_id = %s", given_up.id)
    store.deliveries.mark_failed(delivery, status_code=500, error=word, delay_s=0)
    store.conversations.create(
        ConversationRecord(
            id=conversation_id,
            project_id=project_id,
            metadata={"word": word},
            created_at=datetime.now(UTC),
        ),
        [{"type": "message", "id": GIVEN_ID, "role": "user", "content": word}],
    )
    temporary = replace(_respond(desk, project_id, word, store=False, content_key=b"k"), attempt=1)
    running = _respond(desk, project_id, word)
    desk.create(word, project_id=project_id)  # the last one: it stays queued
    return Tenant(
        project_id=project_id,
        word=word,
        finished=finished,
        running=running,
        temporary=temporary,
        conversation_id=conversation_id,
        endpoint_id=endpoint_id,
        delivery=delivery,
        key_id=key_id,
    )


def api_key(project_id: str, key_id: str) -> ApiKeyRecord:
    return ApiKeyRecord(
        id=key_id,
        project_id=project_id,
        name=f"word-of-{project_id}",
        scopes=frozenset({Scope.RESPONSES_READ}),
        digest=KeyDigest(_DIGEST, "pepper"),
        created_by="test",
    )


def _respond(desk: Desk, project_id: str, word: str, **changes: object) -> ResponseRecord:
    """Create a response and claim it."""
    new = stored_response(project_id=project_id, metadata={**METADATA, "word": word}, **changes)
    given = {"type": "message", "id": GIVEN_ID, "role": "user", "content": word}
    items = [input_message(new.id, word), given] if new.store else []
    key = RequestKey(key=KEY, digest=_DIGEST) if not new.store else None
    assert desk.store.responses.create(new, items, key)
    return desk.claim()


def _finish(desk: Desk, claimed: ResponseRecord, word: str) -> None:
    ending = TerminalRecord(
        status=ResponseStatus.COMPLETED,
        finished_at=datetime.now(UTC),
        output=[output_message(claimed.id, word)],
        events=[word.encode()],
    )
    assert desk.store.finisher.finish(claimed, ending)
