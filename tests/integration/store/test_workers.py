import pytest

from models.engine_capabilities import EngineCapabilities
from models.profile.weights import SCRIPTED_MODEL
from models.store.store import Store
from models.store.workers import LEASE_S, LeaseLostError
from models.tables import DEFAULT_PROJECT
from tests.factories import worker_identity
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk

BLIND = EngineCapabilities(reads_images=False)
SMALL = EngineCapabilities(max_context=100)
_LEFT_S = "SELECT extract(epoch FROM lease_until - now())::float FROM workers"


def test_it_works(store: Store, sql: RunSql) -> None:
    worker = worker_identity()

    store.workers.register(worker)

    assert store.workers.served_models(DEFAULT_PROJECT) == [worker.model]
    [[left_s]] = sql(_LEFT_S)
    assert 0 < left_s <= LEASE_S


def test_a_renewed_lease_counts_from_now(desk: Desk, sql: RunSql) -> None:
    worker = desk.hire()
    sql("UPDATE workers SET lease_until = now() + interval '1 s'")

    assert desk.store.workers.renew(worker) == []

    [[left_s]] = sql(_LEFT_S)
    assert left_s > 1


def test_a_lease_that_has_run_out_cannot_be_renewed(desk: Desk) -> None:
    worker = desk.hire()
    desk.lapse_leases()

    with pytest.raises(LeaseLostError, match="lease of worker test"):
        desk.store.workers.renew(worker)

    assert desk.store.workers.served_models(DEFAULT_PROJECT) == []


def test_a_renewal_tells_the_worker_of_its_own_responses_and_which_are_to_be_cancelled(
    desk: Desk,
) -> None:
    worker = desk.hire()
    responses = []
    for holder in (worker, worker, desk.hire()):
        desk.create()
        responses.append(desk.claim(holder))
    mine, kept, theirs = responses
    for cancelled in (mine, theirs):
        desk.store.claims.request_cancel(DEFAULT_PROJECT, cancelled.id)

    found = {row.id: row.cancel_requested for row in desk.store.workers.renew(worker)}
    assert found == {mine.id: True, kept.id: False}


def test_a_worker_that_leaves_serves_nothing(desk: Desk) -> None:
    worker = desk.hire()

    desk.store.workers.leave(worker)

    assert desk.store.workers.served_models(DEFAULT_PROJECT) == []


def test_all_live_workers_of_a_model_can_do_what_each_of_them_can(desk: Desk) -> None:
    for number, capabilities in enumerate((BLIND, SMALL, EngineCapabilities())):
        desk.hire(pid=number, capabilities=capabilities)
    desk.hire(model="other")

    published = desk.store.workers.published_capabilities(DEFAULT_PROJECT)

    both = EngineCapabilities(reads_images=False, max_context=100)
    assert published == {SCRIPTED_MODEL: both, "other": EngineCapabilities()}


def test_a_lost_worker_counts_only_while_no_other_is_alive(desk: Desk) -> None:
    desk.hire(capabilities=BLIND)
    desk.lapse_leases()
    lost = desk.store.workers.published_capabilities(DEFAULT_PROJECT)

    desk.hire(capabilities=SMALL)

    assert lost == {SCRIPTED_MODEL: BLIND}
    assert desk.store.workers.published_capabilities(DEFAULT_PROJECT) == {SCRIPTED_MODEL: SMALL}


def test_a_worker_that_has_left_counts_no_longer(desk: Desk) -> None:
    desk.store.workers.leave(desk.hire(capabilities=BLIND))

    assert desk.store.workers.published_capabilities(DEFAULT_PROJECT) == {}
