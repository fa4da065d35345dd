"""Capabilities of workers in one API process: read rarely, and held through outages."""

import time
from collections.abc import Mapping
from threading import Event, Thread

from api.worker_capabilities import WorkerCapabilities
from models.engine_capabilities import ALL_CAPABILITIES, EngineCapabilities
from models.errors import UnavailableError
from tests.polling import PATIENCE_S

NARROW = EngineCapabilities(reads_images=False, max_context=100)

Published = Mapping[str, EngineCapabilities]


class Reader:
    """Source whose answer a test changes; counts its reads."""

    def __init__(self, published: Published) -> None:
        self.published = published
        self.is_away = False
        self.num_reads = 0

    def read(self) -> Published:
        self.num_reads += 1
        if self.is_away:
            raise UnavailableError
        return self.published


def test_it_works() -> None:
    known = WorkerCapabilities(Reader({"a": NARROW}).read)

    assert known.of_model("a") == NARROW
    assert known.of_model("b") == ALL_CAPABILITIES


def test_they_are_read_once_in_an_interval() -> None:
    reader = Reader({"a": NARROW})
    known = WorkerCapabilities(reader.read, refresh_s=60)

    for _ in range(5):
        known.of_model("a")

    assert reader.num_reads == 1


def test_a_change_is_seen_after_the_interval() -> None:
    reader = Reader({"a": NARROW})
    known = WorkerCapabilities(reader.read, refresh_s=0)
    assert known.of_model("a") == NARROW

    reader.published = {}

    assert known.of_model("a") == ALL_CAPABILITIES


def test_what_was_read_holds_while_the_store_is_away() -> None:
    reader = Reader({"a": NARROW})
    known = WorkerCapabilities(reader.read, refresh_s=0)
    known.of_model("a")

    reader.is_away = True

    assert known.of_model("a") == NARROW
    assert reader.num_reads == 2


def test_requests_that_come_before_the_first_answer_wait_for_it() -> None:
    go_on = Event()

    def read() -> Published:
        assert go_on.wait(PATIENCE_S)
        return {"a": NARROW}

    known, found = WorkerCapabilities(read, refresh_s=60), []
    threads = [Thread(target=lambda: found.append(known.of_model("a"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert found == [NARROW] * 3


def test_nobody_waits_for_a_later_read() -> None:
    answers: list[Published] = [{"a": NARROW}, {}]
    begun, go_on = Event(), Event()

    def read() -> Published:
        if len(answers) == 1:
            begun.set()
            assert go_on.wait(PATIENCE_S)
        return answers.pop(0)

    known = WorkerCapabilities(read, refresh_s=0)
    known.of_model("a")
    reading = Thread(target=known.of_model, args=("a",))
    reading.start()
    assert begun.wait(PATIENCE_S)

    started_at = time.monotonic()
    assert known.of_model("a") == NARROW
    assert time.monotonic() - started_at < PATIENCE_S / 2
    go_on.set()
    reading.join(PATIENCE_S)
