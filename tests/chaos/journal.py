"""Journal of everything the clients saw, which the checker compares with the server's state."""

from dataclasses import dataclass, field

import orjson

from tests.chaos.plan import Job

TERMINAL = frozenset({"completed", "incomplete", "failed", "cancelled"})
TERMINAL_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})
DELTA = "response.output_text.delta"


@dataclass(frozen=True, slots=True)
class Received:
    """Event of a stream, as received."""

    at: float
    """Seconds on the test process's monotonic clock, like all times in this module."""
    type: str
    data: bytes

    @property
    def number(self) -> int:
        """Sequence number of the event."""
        return int(orjson.loads(self.data)["sequence_number"])

    @property
    def is_terminal(self) -> bool:
        """True if no event may follow."""
        return self.type in TERMINAL_EVENTS


@dataclass(slots=True)
class Connection:
    """Connection of a stream; `start` is the sequence number it requested first."""

    start: int
    opened_at: float
    """Time at which it was requested."""
    events: list[Received] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Seen:
    """Response object seen in an answer or event."""

    at: float
    status: str
    text: str
    source: str
    """`post`, `get`, `cancel` or `event`."""


@dataclass(slots=True)
class Record:
    """Everything a client saw of one response; without an id, its request was never answered."""

    job: Job
    previous_id: str | None = None
    response_id: str | None = None
    answered_at: float | None = None
    """Time at which the id was received."""
    connections: list[Connection] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    cancelled_at: float | None = None
    """Time at which a cancel was answered with `cancelled`."""
    deleted_at: float | None = None
    """Time at which the response was first known to be deleted (200 to a delete, or a 404)."""
    delete_asked_at: float | None = None
    left_at: float | None = None
    """Time at which the connection of a foreground request broke, which cancels the response."""
    found_after_delete: list[int] = field(default_factory=list)
    """Status codes of reads after the delete was answered."""
    ids_of_key: set[str] = field(default_factory=set)
    """All ids that were answered for its Idempotency-Key."""
    is_given_up: bool = False
    """True if it was not accepted, or its unstored content was lost before its id was known.

    Its Idempotency-Key then gets the same answer for ever.
    """
    bad_answers: list[str] = field(default_factory=list)
    """Answers that no fault can justify."""

    @property
    def events(self) -> list[Received]:
        """Events of all connections, in order of arrival."""
        return [event for connection in self.connections for event in connection.events]


def seen_of(body: dict[str, object], at: float, source: str) -> Seen:
    """Return the status and text of a response object, as `Seen`."""
    return Seen(at, str(body["status"]), output_text(body), source)


def output_text(body: dict[str, object]) -> str:
    """Return the text of all output messages of a response object."""
    output = body["output"]
    assert isinstance(output, list)
    return "".join(part["text"] for item in output for part in item.get("content", ()))
