"""Client of the API under test: it posts, streams and polls, and records what it sees."""

import random
import threading
import time
from collections.abc import Callable, Iterator

import orjson

from tests.chaos.asides import Asides, judge
from tests.chaos.journal import TERMINAL, Connection, Received, Record, seen_of
from tests.chaos.plan import Job
from tests.chaos.web import PATH, Answer, Http, Unreachable

PAUSE_S = 0.4
"""Mean seconds between two polls, and before a retry."""

_MAX_OVERLAP = 5
"""Most events that a client requests again when it reconnects to a stream."""


class Client:
    """Client that runs jobs one after the other, each until it has ended or `is_over()`."""

    def __init__(self, web: Http, is_over: Callable[[], bool], seed: str) -> None:
        self._web = web
        self._is_over = is_over
        self._dice = random.Random(seed)
        self._seed = seed
        self._pause = threading.Event()
        self._asides = Asides(web, is_over)

    def join(self) -> None:
        """Wait for the cancels and deletes in flight."""
        self._asides.join()

    def run(self, job: Job, previous_id: str | None, record: Record) -> None:
        """Run a job, and record everything it sees in `record`."""
        record.previous_id = previous_id
        drops = list(job.drops)
        self._post(record, drops)
        while record.response_id and not self._has_ended(record):
            if self._is_over():
                record.bad_answers.append("not ended long after the last fault")
                break
            if job.stream and job.store:
                self._reconnect(record, drops)
            elif job.store:
                self._look(record)
            else:
                break
        if record.response_id and job.stream and job.store and record.delete_asked_at is None:
            self._look(record)

    def _post(self, record: Record, drops: list[int]) -> None:
        """Send the request until it is answered; a lost answer is retried with a new request."""
        num_posts = 0
        while record.response_id is None and not record.is_given_up:
            if self._is_over():
                record.bad_answers.append("not answered long after the last fault")
                break
            body = _body(record, num_posts)
            num_posts += 1
            opened_at = time.monotonic()
            try:
                with self._web.stream("POST", PATH, body, self._headers(record)) as answer:
                    if isinstance(answer, Answer):
                        self._take_answer(record, answer)
                    else:
                        connection = Connection(0, opened_at)
                        record.connections.append(connection)
                        self._take_events(record, connection, answer, drops)
            except Unreachable:
                # With an Idempotency-Key, the next answer may be for the response left here.
                is_known = record.response_id is not None or record.job.posts_twice
                if is_known and not record.job.background:
                    record.left_at = time.monotonic()
            if record.response_id is None:
                record.connections.clear()
                self._wait()

    def _headers(self, record: Record) -> dict[str, str]:
        if not record.job.posts_twice:
            return {}
        return {"idempotency-key": f"{self._seed}-{record.job.number}"}

    def _take_answer(self, record: Record, answer: Answer) -> None:
        if answer.status == 200:
            self._take_id(record, answer.body)
            record.seen.append(seen_of(answer.body, time.monotonic(), "post"))
        else:
            record.is_given_up = not judge(record, answer)

    def _take_id(self, record: Record, body: dict[str, object]) -> None:
        record.response_id = str(body["id"])
        record.ids_of_key.add(record.response_id)
        record.answered_at = time.monotonic()
        self._asides.begin(record)

    def _reconnect(self, record: Record, drops: list[int]) -> None:
        """Reconnect to a stream after its last event, or a few events before."""
        known = [event.number for event in record.events if event.type != "error"]
        following = max(known) + 1 if known else 0
        start = max(0, following - self._dice.choice((0, 0, self._dice.randint(1, _MAX_OVERLAP))))
        query = f"&starting_after={start - 1}" if start else ""
        opened_at = time.monotonic()
        try:
            path = f"{PATH}/{record.response_id}?stream=true&include_obfuscation=false{query}"
            with self._web.stream("GET", path) as answer:
                if isinstance(answer, Answer):
                    self._take_miss(record, answer)
                else:
                    connection = Connection(start, opened_at)
                    record.connections.append(connection)
                    self._take_events(record, connection, answer, drops)
        except Unreachable:
            self._wait()

    def _take_events(
        self,
        record: Record,
        connection: Connection,
        events: Iterator[Received | None],
        drops: list[int],
    ) -> None:
        limit = drops.pop(0) if drops else None
        for event in events:
            if self._is_over():
                return
            if event is None:
                continue
            if event.type == "error":
                self._take_error(record, event)
                return
            connection.events.append(event)
            if record.response_id is None:
                self._take_id(record, orjson.loads(event.data)["response"])
            if event.is_terminal:
                body = orjson.loads(event.data)["response"]
                record.seen.append(seen_of(body, event.at, "event"))
            if limit is not None and len(connection.events) >= limit:
                if not record.job.background:
                    record.left_at = time.monotonic()
                return

    def _take_error(self, record: Record, event: Received) -> None:
        """Handle the error event of a stream that cannot continue."""
        code = orjson.loads(event.data)["error"]["code"]
        if code == "service_unavailable" or (code == "events_lost" and not record.job.store):
            record.is_given_up = code == "events_lost" and record.response_id is None
            self._wait()
        elif code == "response_not_found" and record.delete_asked_at is not None:
            record.deleted_at = record.deleted_at or event.at
        else:
            record.bad_answers.append(f"error event {code}")

    def _look(self, record: Record) -> None:
        try:
            answer = self._web.request("GET", f"{PATH}/{record.response_id}")
        except Unreachable:
            self._wait()
            return
        if answer.status == 200:
            record.seen.append(seen_of(answer.body, time.monotonic(), "get"))
        else:
            self._take_miss(record, answer)
        if not self._has_ended(record):
            self._wait()

    def _take_miss(self, record: Record, answer: Answer) -> None:
        if answer.status == 404 and record.delete_asked_at is not None:
            record.deleted_at = record.deleted_at or time.monotonic()
        else:
            judge(record, answer)
        self._wait()

    def _has_ended(self, record: Record) -> bool:
        """Return True if nothing more can be read about a response."""
        if record.deleted_at is not None or record.bad_answers:
            return True
        if record.job.stream:
            return any(event.is_terminal for event in record.events)
        return any(seen.status in TERMINAL for seen in record.seen)

    def _wait(self) -> None:
        self._pause.wait(PAUSE_S * self._dice.uniform(0.5, 1.5))


def _body(record: Record, num_posts: int) -> dict[str, object]:
    job = record.job
    body: dict[str, object] = {
        "model": "default",
        "input": job.text,
        "max_output_tokens": job.max_tokens,
        "temperature": 0,
        "user": job.user,
        "background": job.background,
        "stream": job.stream,
        "store": job.store,
        "metadata": {"job": str(job.number), "post": str(0 if job.posts_twice else num_posts)},
    }
    if record.previous_id is not None:
        body["previous_response_id"] = record.previous_id
    if job.stream:
        # The archive has no obfuscation, and streams are compared with it.
        body["stream_options"] = {"include_obfuscation": False}
    return body
