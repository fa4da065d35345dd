"""Archived events are read once for readers that come together."""

from collections import Counter
from uuid import UUID, uuid4

import pytest

from api.streaming.archives import Archives
from models.errors import UnavailableError
from models.streams.event_log import LoggedEvent

EVENTS = [b'{"type":"a"}', b'{"type":"b"}']


class Source:
    """Store that counts its reads."""

    def __init__(self) -> None:
        self.events: list[bytes] | None = EVENTS
        self.is_out = False
        self.reads: Counter[tuple[str, UUID]] = Counter()

    def archived_events(self, project_id: str, response_id: UUID) -> list[bytes] | None:
        self.reads[project_id, response_id] += 1
        if self.is_out:
            raise UnavailableError
        return self.events


@pytest.fixture
def source() -> Source:
    return Source()


def test_an_archive_is_read_once(source: Source) -> None:
    archives, response_id = Archives(source), uuid4()

    read = [archives.read("p", response_id) for _ in range(3)]

    assert read[0] == [LoggedEvent(0, EVENTS[0]), LoggedEvent(1, EVENTS[1])]
    assert read[1] is read[2] is read[0]
    assert source.reads == {("p", response_id): 1}


def test_another_project_has_another_archive(source: Source) -> None:
    archives, response_id = Archives(source), uuid4()
    archives.read("p", response_id)
    source.events = None

    assert archives.read("q", response_id) is None


def test_what_does_not_exist_yet_is_looked_up_again(source: Source) -> None:
    archives, response_id = Archives(source), uuid4()
    source.events = None
    assert archives.read("p", response_id) is None

    source.events = EVENTS

    assert archives.read("p", response_id)


def test_an_archive_is_forgotten_after_a_while(source: Source) -> None:
    archives, response_id = Archives(source, ttl_s=0.0), uuid4()
    archives.read("p", response_id)
    source.events = None

    assert archives.read("p", response_id) is None


def test_the_cache_is_bounded(source: Source) -> None:
    source.events = [b"x" * 400]
    archives = Archives(source, max_bytes=1500)
    ids = [uuid4() for _ in range(3)]
    for response_id in (*ids, *ids):
        archives.read("p", response_id)
    assert sum(source.reads.values()) > 3

    source.events = [b"x" * 2000]
    assert archives.read("p", uuid4()) == [LoggedEvent(0, b"x" * 2000)]


def test_an_outage_is_not_cached(source: Source) -> None:
    archives, response_id = Archives(source), uuid4()
    source.is_out = True
    for _ in range(2):
        with pytest.raises(UnavailableError):
            archives.read("p", response_id)

    assert source.reads["p", response_id] == 2
