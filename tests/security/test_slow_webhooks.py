"""One owner's webhooks neither hold up another's nor flood their receiver."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

from models.ids import new_id
from models.settings import Settings
from tests.integration.desk import Desk
from tests.integration.receiver import ALLOWED, Receiver
from tests.polling import PATIENCE_S, eventually
from worker.maintenance.webhook_delivery import Deliverer

_PROMPT_S = 60.0
"""Bound on a delivery that nothing holds up: less than the 10 s that a request may take."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    networks = Settings(webhook_networks=ALLOWED).webhook_networks
    return settings.model_copy(update={"webhook_networks": networks, "webhook_rate": 1000.0})


@contextmanager
def delivering(settings: Settings) -> Iterator[None]:
    stopping = threading.Event()
    with closing(Deliverer(settings, poll_s=0.02)) as deliverer:
        thread = threading.Thread(target=deliverer.run, args=[stopping])
        thread.start()
        yield
        stopping.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def add_endpoints(desk: Desk, *urls: str, project_id: str = "default") -> None:
    for url in urls:
        fields = {"name": "test", "url": url, "event_types": ["response.completed"]}
        assert desk.store.webhooks.create(project_id, new_id(), "whsec_eA==", fields)


def end(desk: Desk, count: int, **changes: Any) -> None:
    for _ in range(count):
        assert desk.finish(desk.running(**changes))


@pytest.fixture
def hanging_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let the look-ups of names that end in `.hang` hang; yield the names looked up."""
    real: Callable[..., list[Any]] = socket.getaddrinfo
    released, names = threading.Event(), list[str]()

    def getaddrinfo(host: str, *arguments: Any, **more: Any) -> list[Any]:
        if str(host).endswith(".hang"):
            names.append(host)
            released.wait(PATIENCE_S)
            raise socket.gaierror
        return real(host, *arguments, **more)

    monkeypatch.setattr("models.fetching.resolver.socket.getaddrinfo", getaddrinfo)
    yield names
    released.set()


def test_names_that_hang_delay_no_other_endpoint(
    desk: Desk, settings: Settings, receiver: Receiver, hanging_names: list[str]
) -> None:
    slow = desk.add_project("slow")
    add_endpoints(desk, *[f"http://{n}.hang/" for n in range(20)], project_id=slow)
    end(desk, 8, project_id=slow)
    with delivering(settings):
        eventually(lambda: len(hanging_names) >= 20)
        # By name, as a literal address needs no look-up.
        add_endpoints(desk, receiver.url.replace("127.0.0.1", "localhost"))

        end(desk, 3)

        eventually(lambda: len(receiver.received) == 3, within_s=_PROMPT_S)
    assert len(hanging_names) == 20  # one thread for the eight deliveries of each endpoint


def drip(connection: socket.socket, stopping: threading.Event) -> None:
    """Answer a byte at a time, without end."""
    with connection:
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
            while not stopping.wait(0.1):
                connection.sendall(b"x")
        except OSError:
            return


@pytest.fixture
def dripping_url() -> Iterator[str]:
    stopping = threading.Event()
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        threads: list[threading.Thread] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=drip, args=[connection, stopping]))
                threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        stopping.set()
        server.shutdown(socket.SHUT_RDWR)
        acceptor.join()
        for thread in threads:
            thread.join()


def test_answers_that_never_end_delay_no_other_endpoint(
    desk: Desk, settings: Settings, receiver: Receiver, dripping_url: str
) -> None:
    slow = desk.add_project("slow")
    add_endpoints(desk, *[f"{dripping_url}{n}" for n in range(20)], project_id=slow)
    end(desk, 8, project_id=slow)
    add_endpoints(desk, receiver.url)

    end(desk, 3)

    with delivering(settings):
        eventually(lambda: len(receiver.received) == 3, within_s=_PROMPT_S)


def _distinct(receiver: Receiver) -> set[tuple[str, str]]:
    return {(got.path, got.headers["webhook-id"]) for got in receiver.received}


@pytest.mark.parametrize(
    "num_endpoints",
    [
        pytest.param(1, id="one-endpoint"),
        pytest.param(3, id="three-endpoints", marks=pytest.mark.nightly),
    ],
)
def test_a_receiver_gets_no_more_than_the_rate_after_a_first_burst(
    desk: Desk, settings: Settings, receiver: Receiver, num_endpoints: int
) -> None:
    add_endpoints(desk, *[f"{receiver.url}/{n}" for n in range(num_endpoints)])
    burst = 8 * num_endpoints
    end(desk, 16)

    with delivering(settings.model_copy(update={"webhook_rate": 4.0 * num_endpoints})):
        eventually(lambda: len(receiver.received) > burst, within_s=PATIENCE_S)
        paused_s = receiver.received[burst].at - receiver.received[0].at
        # A receiver that is slow to answer may get a delivery twice.
        eventually(lambda: len(_distinct(receiver)) == 2 * burst, within_s=PATIENCE_S)

    assert paused_s > 1.5  # a burst is worth 2 s of the rate


def test_the_rate_of_one_project_delays_no_other(
    desk: Desk, settings: Settings, receiver: Receiver
) -> None:
    flood = desk.add_project("flood")
    add_endpoints(desk, receiver.url + "/flood", project_id=flood)
    add_endpoints(desk, receiver.url + "/mine")
    end(desk, 40, project_id=flood)
    with delivering(settings.model_copy(update={"webhook_rate": 0.5})):
        eventually(lambda: len(receiver.received) >= 8)

        end(desk, 3)

        # At its rate, those of the other project take a minute.
        eventually(lambda: [got.path for got in receiver.received].count("/hook/mine") == 3)
