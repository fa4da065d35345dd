"""Calls of every statement of the store, which `test_two_locks.py` records."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from models.access.digests import KeyDigest
from models.ids import new_id
from models.metrics.readings import Reading
from models.profile.weights import SCRIPTED_MODEL
from models.responses.checkpoint import Checkpoint
from models.responses.status import ResponseStatus
from models.store.access.audit import AuditEntryRecord
from models.store.access.removal import removed_tables
from models.store.conversations import ConversationRecord
from models.store.finish import TerminalRecord
from models.store.idempotency_keys import RequestKey
from models.store.item_pages import PageQuery
from models.store.listing import ListFilter
from models.store.store import Store
from models.tables import DEFAULT_PROJECT, Project
from tests.factories import input_message, output_message, stored_response, usage_of
from tests.integration.desk import Desk
from tests.security.isolation.tenants import ENDPOINT, GIVEN_ID, KEY, METADATA, Tenant, api_key

_PAGES = (
    PageQuery(limit=10),
    PageQuery(limit=10, is_descending=True),
    PageQuery(limit=1, after=GIVEN_ID),
)


def reach_for(store: Store, mine: str, theirs: Tenant) -> Iterator[Callable[[], object]]:
    """Yield calls of every statement on a project's rows, on ids of another project."""
    running = replace(theirs.running, project_id=mine)
    finished = replace(theirs.finished, project_id=mine)
    yield from _reach_for_responses(store, mine, theirs)
    yield from _reach_for_items(store, mine, theirs)
    yield from _reach_for_conversations(store, mine, theirs)
    yield from _reach_for_webhooks(store, mine, theirs)
    yield lambda: store.checkpoints.begin_call(running, 1)
    yield lambda: store.flows.charge(mine, [replace(running, usage=usage_of(input_tokens=9))])
    yield lambda: store.claims.hand_back([running])
    yield lambda: store.claims.request_cancel(mine, theirs.running.id)
    yield lambda: store.claims.take_over(running)
    yield lambda: store.finisher.finish(
        running, TerminalRecord(status=ResponseStatus.COMPLETED, finished_at=datetime.now(UTC))
    )
    yield lambda: store.finisher.has_ended(finished)
    yield lambda: store.idempotency_keys.find(mine, RequestKey(key=KEY, digest=b""))
    yield lambda: store.projects.encryption_key(mine)
    yield lambda: store.projects.get(mine)
    yield lambda: store.sizes.measure(mine)
    yield lambda: store.api_keys.create(api_key(mine, "another-key"))
    yield lambda: store.api_keys.list_keys(mine)
    yield lambda: store.api_keys.revoke(theirs.key_id, mine)
    yield lambda: store.removals.next_responses(mine, limit=10)
    yield lambda: store.removals.delete_responses(mine, [theirs.finished.id])
    yield lambda: store.reaper.expire_of_project(mine, created_before=datetime.now(UTC))
    key, digest = api_key(mine, theirs.key_id), KeyDigest(b"1" * 32, "another pepper")
    yield lambda: store.api_keys.renew_digest(key, digest)
    # The last one, because little of my own is left after it.
    yield lambda: store.removals.delete_rows(mine, removed_tables(Project.metadata), limit=10)


def _reach_for_responses(store: Store, mine: str, theirs: Tenant) -> Iterator[Callable[[], object]]:
    responses, response_id = store.responses, theirs.finished.id
    new = stored_response(project_id=mine, conversation_id=theirs.conversation_id)
    yield lambda: responses.create(new, [input_message(new.id)])
    for _ in range(2):  # the second one does not enter its flows, since the first one has
        own = stored_response(project_id=mine)
        yield partial(responses.create, own, [input_message(own.id)])
    yield lambda: responses.get(mine, response_id)
    yield lambda: responses.get_unstored(mine, theirs.temporary.id)
    yield lambda: responses.forget_key(mine, theirs.temporary.id)
    yield lambda: responses.archived_events(mine, response_id)
    yield lambda: responses.statuses([(mine, response_id)])
    yield lambda: store.lists.read_page(mine, ListFilter(), has_output=False)
    yield lambda: store.lists.read_page(mine, ListFilter(metadata=METADATA))
    yield lambda: store.lists.read_page(
        mine, ListFilter(statuses=(ResponseStatus.COMPLETED,), model=theirs.finished.model)
    )
    yield lambda: store.lists.read_page(
        mine, ListFilter(statuses=(ResponseStatus.COMPLETED, ResponseStatus.QUEUED))
    )
    yield lambda: store.lists.queues(mine)
    yield lambda: store.forecasts.of_project(mine, theirs.finished.model)
    yield lambda: store.lists.read_page(mine, ListFilter(id_prefix=response_id.hex[:20]))
    yield lambda: store.progress.read(mine, response_id)
    yield lambda: store.chains.around(mine, response_id)
    yield lambda: store.chains.tree(mine, response_id)
    yield lambda: responses.delete(mine, response_id)


def _reach_for_items(store: Store, mine: str, theirs: Tenant) -> Iterator[Callable[[], object]]:
    items, response_id = store.items, theirs.finished.id
    yield lambda: items.by_id(mine, [output_message(response_id)["id"], GIVEN_ID])
    yield lambda: items.of_chain(mine, response_id)
    yield lambda: items.input_of(mine, response_id)
    yield lambda: items.input_pages.find(mine, response_id, GIVEN_ID)
    for query in _PAGES:
        yield partial(items.input_pages.read, mine, response_id, query)


def _reach_for_conversations(
    store: Store, mine: str, theirs: Tenant
) -> Iterator[Callable[[], object]]:
    conversations, conversation_id = store.conversations, theirs.conversation_id
    item = {"type": "message", "id": "another", "role": "user", "content": "Hi."}
    yield lambda: conversations.get(mine, conversation_id)
    yield lambda: conversations.update(mine, conversation_id, {"taken": "over"})
    yield lambda: conversations.items(mine, conversation_id)
    yield lambda: conversations.used_ids(mine, conversation_id, [GIVEN_ID])
    yield lambda: conversations.add_items(mine, conversation_id, [item])
    yield lambda: conversations.delete_item(mine, conversation_id, GIVEN_ID)
    yield lambda: conversations.pages.find(mine, conversation_id, GIVEN_ID)
    for query in _PAGES:
        yield partial(conversations.pages.read, mine, conversation_id, query)
    yield lambda: conversations.delete(mine, conversation_id)


def _reach_for_webhooks(store: Store, mine: str, theirs: Tenant) -> Iterator[Callable[[], object]]:
    webhooks, deliveries, endpoint_id = store.webhooks, store.deliveries, theirs.endpoint_id
    taken = replace(theirs.delivery, project_id=mine)
    yield lambda: webhooks.create(mine, new_id(), "whsec_another", ENDPOINT)
    yield lambda: webhooks.get(mine, endpoint_id)
    yield lambda: webhooks.list_endpoints(mine, after=None, limit=10)
    yield lambda: webhooks.update(mine, endpoint_id, {"name": "taken over"})
    yield lambda: webhooks.rotate_secret(mine, endpoint_id, "whsec_another", keep_old=True)
    yield lambda: deliveries.list_deliveries(mine, endpoint_id, status=None, after=None, limit=10)
    yield lambda: deliveries.replay(mine, endpoint_id, None)
    yield lambda: deliveries.mark_delivered(taken, 200)
    yield lambda: deliveries.mark_failed(taken, status_code=500, error="mine", delay_s=0)
    yield lambda: deliveries.mark_gone(taken, status_code=410, error="mine")
    yield lambda: webhooks.delete(mine, endpoint_id)


def keep_up(desk: Desk) -> Iterator[Callable[[], object]]:
    """Yield calls of every statement over all projects, and of those on workers."""
    store, model, now = desk.store, SCRIPTED_MODEL, datetime.now(UTC)
    worker = desk.hire()
    running = replace(desk.running(), checkpoint=Checkpoint(next_sequence_number=1, tokens=()))
    yield store.api_keys.any_exists
    yield store.api_keys.list_keys
    yield lambda: store.api_keys.find("unknown")
    yield lambda: store.api_keys.valid(["unknown"])
    yield lambda: store.api_keys.revoke("unknown")
    yield from _administer(store)
    yield store.projects.num_queued
    yield store.queue.states
    yield store.forecasts.of_models
    yield store.queue.num_workers
    yield lambda: store.minutes.write([Reading(model=model, num_queued=1, totals={})])
    yield lambda: store.minutes.read(now, now, timedelta(minutes=1))
    yield store.sizes.limited
    yield lambda: store.workers.renew(worker)
    yield lambda: store.workers.served_models(worker.project_id)
    yield lambda: store.workers.published_capabilities(worker.project_id)
    yield lambda: store.claims.is_due_to_stand_by(worker.id, model)
    yield lambda: store.claims.has_queued(model)
    yield lambda: store.claims.urgent_projects(model, [running.project_id])
    yield lambda: store.flows.find_waiting(model)
    yield lambda: (desk.create(), desk.sql("DELETE FROM user_flows"))
    yield store.flows.refresh
    yield store.flows.release_due
    yield lambda: store.claims.claim(worker.id, model)
    yield lambda: store.claims.claim(worker.id, "a model of which nothing is queued")
    yield lambda: store.checkpoints.write([running])
    yield store.reaper.reclaim
    yield store.reaper.poisonous
    yield store.reaper.num_queued
    yield lambda: store.reaper.have_ended([running.id])
    yield lambda: store.reaper.expire(created_before=now)
    yield lambda: store.reaper.expire_unstored(awaited_before=now, temporary_before=now)
    yield store.reaper.waiting_unstored
    yield lambda: store.audit.expire(before=now)
    yield store.reaper.forget_workers
    yield store.idempotency_keys.expire
    yield store.deliveries.take
    yield store.deliveries.give_up
    yield lambda: store.workers.end_leases(worker.host, worker.pid)
    yield lambda: store.workers.give_up(worker)
    yield lambda: store.workers.leave(worker)
    yield lambda: store.workers.register(worker)


def _administer(store: Store) -> Iterator[Callable[[], object]]:
    """Yield calls of every statement on projects, keys and the audit trail."""
    administration, entry = (
        store.administration,
        AuditEntryRecord(
            project_id="fourth", action="project.create", object="fourth", result="ok"
        ),
    )
    yield lambda: administration.create("fourth", {"name": "Fourth"})
    yield lambda: administration.get("fourth")
    yield administration.list_projects
    yield administration.retention_days
    yield lambda: administration.update("fourth", {"name": "Fourth of them"})
    yield lambda: store.api_keys.create(api_key("fourth", "key-of-fourth"))
    yield lambda: store.api_keys.get("key-of-fourth")
    yield lambda: store.api_keys.rotate(
        "key-of-fourth", "next", KeyDigest(b"1" * 32, "pepper"), created_by="cli", grace_s=60
    )
    yield lambda: administration.begin_deletion("fourth")
    yield store.removals.pending
    yield lambda: store.removals.finish("fourth")
    yield lambda: store.audit.add(entry)
    yield lambda: store.audit.list_entries(limit=10)


def keep_content(desk: Desk, rotating: Store) -> Iterator[Callable[[], object]]:
    """Yield calls of every statement on content at rest, and on its keys.

    `desk` encrypts content; `rotating` has a newer key before that one.
    """
    content, keys = desk.store.old_content, rotating.data_keys
    conversation = ConversationRecord(
        id=new_id(), project_id=DEFAULT_PROJECT, created_at=datetime.now(UTC)
    )
    desk.store.conversations.create(conversation, [])
    running = desk.running(conversation_id=conversation.id)
    yield lambda: desk.finish(running)
    yield lambda: list(content.encrypt())
    yield keys.rotate
    yield lambda: keys.of(DEFAULT_PROJECT)
    yield keys.check
