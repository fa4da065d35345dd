"""Tenants of a server under test: projects and their queued responses, written to its store."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
import redis

from bench.server import BenchError, Server
from models.ids import input_item_id, new_id
from models.profile.weights import SCRIPTED_MODEL
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.settings import Settings
from models.store.store import Store
from models.streams.connection import connect
from models.streams.event_log import events_channel, parse_message
from worker.queue import WakeQueue

NUM_PLACES = 8
"""Responses that run at a time."""
FIRST_TOKEN_TIMEOUT_S = 120.0
_NUM_WRITERS = 8
_MESSAGE = "Write a story about a lighthouse, its keeper and the sea."


class Tenants:
    """Writes projects and responses as the API would, for any number of projects."""

    def __init__(self, store: Store, wake_queue: WakeQueue, client: redis.Redis, url: str) -> None:
        self.store = store
        self._wake_queue = wake_queue
        self._client = client
        self._url = url

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows, if any."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def add_project(self, project_id: str, *, weight: float = 1) -> str:
        """Add a project; return its id."""
        self.sql("INSERT INTO projects (project_id, weight) VALUES (%s, %s)", project_id, weight)
        return project_id

    def queue(self, project_id: str, *, num_tokens: int, end_user: int = 0) -> ResponseRecord:
        """Queue a response that ends after so many tokens, without a wake-up."""
        new = ResponseRecord(
            id=new_id(),
            project_id=project_id,
            model=SCRIPTED_MODEL,
            status=ResponseStatus.QUEUED,
            background=True,
            store=True,
            attempt=0,
            end_user=end_user,
            created_at=datetime.now(UTC).replace(microsecond=0),
            parameters={"temperature": 1.0, "top_p": 1.0, "max_output_tokens": num_tokens},
        )
        item = {
            "type": "message",
            "id": input_item_id("message", new.id, 0),
            "role": "user",
            "content": [{"type": "input_text", "text": _MESSAGE}],
        }
        self.store.responses.create(new, [item])
        return new

    def wake(self, count: int = 1) -> None:
        """Wake workers."""
        self._wake_queue.wake(SCRIPTED_MODEL, count)

    def queue_many(self, project_id: str, lengths: Iterable[int], *, end_user: int = 0) -> None:
        """Queue a response of each length, on a few connections."""
        write = partial(self.queue, project_id, end_user=end_user)
        with ThreadPoolExecutor(_NUM_WRITERS) as threads:
            for _ in threads.map(lambda num_tokens: write(num_tokens=num_tokens), lengths):
                pass

    def first_token_s(self, project_id: str, *, end_user: int = 0) -> float:
        """Queue a short response; return the seconds to its first token, and wait for its end."""
        began = time.monotonic()
        queued = self.queue(project_id, num_tokens=3, end_user=end_user)
        with self._client.pubsub(  # type: ignore[no-untyped-call]
            ignore_subscribe_messages=True
        ) as subscription:
            subscription.subscribe(events_channel(queued.id))
            self.wake()
            first_s = None
            while time.monotonic() < began + FIRST_TOKEN_TIMEOUT_S:
                message = subscription.get_message(timeout=1.0)
                events = parse_message(message["data"]) if message else []
                if first_s is None and any("delta" in event.type for event in events):
                    first_s = time.monotonic() - began
                if first_s is not None and any(event.is_terminal for event in events):
                    return first_s
        raise BenchError("a response does not end")

    def fill(self) -> None:
        """Wake workers until responses run in all of their places."""
        self.wake(32)
        while self._num_running() < NUM_PLACES:
            time.sleep(0.2)

    def _num_running(self) -> int:
        [[num]] = self.sql("SELECT count(*) FROM responses WHERE status = 'in_progress'")
        return int(num)

    def clear(self) -> None:
        """Delete every queued response, and wait until nothing runs."""
        self.sql("DELETE FROM responses WHERE status = 'queued'")
        self.sql("UPDATE responses SET cancel_requested = true WHERE status = 'in_progress'")
        while self._num_running():
            time.sleep(0.2)


@contextlib.contextmanager
def tenants_of(server: Server) -> Iterator[Tenants]:
    """Provide the tenants of a server that was started by `own_server`."""
    assert server.admin_url is not None
    assert server.redis_url is not None
    assert server.data_dir is not None
    settings = Settings(
        database_url=server.database_url, database_maintenance_url=server.maintenance_url
    )
    assert settings.database_url is not None
    store = Store.open(
        settings.database_url,
        maintenance_url=settings.database_maintenance_url,
        secret_file=server.data_dir / "secret",
    )
    with (
        contextlib.closing(store),
        contextlib.closing(WakeQueue(server.redis_url)) as wake_queue,
        connect(server.redis_url) as client,
    ):
        yield Tenants(store, wake_queue, client, server.admin_url)
