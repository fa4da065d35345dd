"""Reads of the queue: how often there are some, and what is said in between."""

from dataclasses import dataclass, field, replace
from uuid import UUID

import pytest
import redis

from api.queueing.places import QueuePlaces
from models.forecast.flow_state import ModelState
from models.forecast.forecast import Forecast, forecast
from models.forecast.own_queue import OwnGroup, OwnQueue
from models.forecast.speed_meter import Speed
from models.ids import new_id
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from tests.factories import stored_response
from tests.unit.models.forecast.test_forecast import SPEED, flow


@dataclass
class FakeSources:
    """Sources of what is read: they take some time, or fail."""

    now: float = 0.0
    num_reads: int = 0
    duration_s: float = 0.01
    is_away: bool = False
    ids: list[UUID] = field(default_factory=list)
    speed: Speed = SPEED

    def of_project(self, _project_id: str, _model: str) -> OwnQueue:
        self.num_reads += 1
        self.now += self.duration_s
        if self.is_away:
            raise redis.ConnectionError
        ids = [each.bytes for each in self.ids]
        group = OwnGroup(
            priority=0, end_user=0, ids=ids, virtual_time=0.0, estimate=100.0, num_running=0
        )
        return OwnQueue([group])

    def read(self, _model: str, project_id: str) -> Forecast | None:
        mine = flow(project_id, num_queued=len(self.ids), num_running=4)
        return forecast(ModelState(flows=(mine,), num_workers=1), self.speed)


@pytest.fixture
def sources() -> FakeSources:
    return FakeSources()


@pytest.fixture
def places(sources: FakeSources) -> QueuePlaces:
    return QueuePlaces(
        sources,  # type: ignore[arg-type]
        sources,  # type: ignore[arg-type]
        is_on=True,
        fresh_s=2.0,
        clock=lambda: sources.now,
    )


def queued(sources: FakeSources) -> ResponseRecord:
    """Return a response that is queued, and will be read."""
    record = stored_response()
    sources.ids.append(record.id)
    return record


def position(places: QueuePlaces, record: ResponseRecord) -> int | None:
    place = places.find(record)
    assert place is not None
    return place.position


def test_the_queue_is_read_once_in_some_seconds(places: QueuePlaces, sources: FakeSources) -> None:
    records = [queued(sources) for _ in range(3)]

    assert [position(places, record) for record in records] == [1, 2, 3]
    assert sources.num_reads == 1
    sources.now += 2
    assert position(places, records[0]) == 1
    assert sources.num_reads == 2


def test_a_long_queue_is_read_less_often(places: QueuePlaces, sources: FakeSources) -> None:
    record = queued(sources)
    sources.duration_s = 1.0
    places.find(record)

    sources.now += 9
    places.find(record)
    assert sources.num_reads == 1
    sources.now += 2
    places.find(record)
    assert sources.num_reads == 2


def test_what_another_process_has_queued_is_read(places: QueuePlaces, sources: FakeSources) -> None:
    first = queued(sources)
    assert position(places, first) == 1
    second = queued(sources)

    sources.now += 0.2

    assert position(places, second) == 2
    assert sources.num_reads == 2


def test_what_this_process_has_queued_is_known(places: QueuePlaces, sources: FakeSources) -> None:
    assert position(places, queued(sources)) == 1
    for number in range(3):
        record = stored_response()
        places.add(record)
        place = places.peek(record)
        assert place is not None
        assert place.position == number + 2
    assert sources.num_reads == 1


def test_outages_are_waited_out(places: QueuePlaces, sources: FakeSources) -> None:
    record = queued(sources)
    sources.is_away = True

    for _ in range(5):
        assert places.find(record) is None
    assert sources.num_reads == 1

    sources.is_away, sources.now = False, sources.now + 2
    assert position(places, record) == 1


def test_what_is_old_is_not_told(places: QueuePlaces, sources: FakeSources) -> None:
    record = queued(sources)
    assert places.find(record) is not None
    sources.is_away, sources.now = True, sources.now + 31

    assert places.find(record) is None


def test_those_who_do_not_wait_leave_time_between_reads(
    places: QueuePlaces, sources: FakeSources
) -> None:
    record, other = queued(sources), stored_response(project_id="other")
    assert places.is_due(record)
    places.refresh(record)

    assert not places.is_due(other)
    sources.now += 0.05
    assert places.is_due(other)
    assert not places.is_due(record)


def test_a_response_that_is_not_queued_has_no_place(
    places: QueuePlaces, sources: FakeSources
) -> None:
    record = queued(sources)
    places.find(record)
    assert places.is_waiting(record)
    assert places.is_waiting(stored_response())  # its commit may not have been read
    old = replace(record, id=UUID(int=new_id().int - (3600_000 << 80)))

    assert not places.is_waiting(old)
    assert places.find(replace(record, status=ResponseStatus.IN_PROGRESS)) is None
