"""What the clients saw, as they saw it; the checker compares it with what the server kept."""

from dataclasses import dataclass, field

import orjson

from tests.chaos.plan import Job

TERMINAL = frozenset({"completed", "incomplete", "failed", "cancelled"})
TERMINAL_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})
DELTA = "response.output_text.delta"


@dataclass(frozen=True, slots=True)
class Received:
    """One event of a stream."""

    at: float
    """Seconds on the harness's monotonic clock, as every time here."""
    type: str
    data: bytes

    @property
    def number(self) -> int:
        """Its sequence number."""
        return int(orjson.loads(self.data)["sequence_number"])

    @property
    def is_terminal(self) -> bool:
        """Whether nothing may follow."""
        return self.type in TERMINAL_EVENTS


@dataclass(slots=True)
class Connection:
    """One connection of a stream, from the number it was asked to start with."""

    start: int
    opened_at: float
    """When it was asked for."""
    events: list[Received] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Seen:
    """A response object in an answer."""

    at: float
    status: str
    text: str
    source: str
    """`post`, `get`, `cancel` or `event`."""


@dataclass(slots=True)
class Record:
    """Everything a client saw of one response; no id: its request was never answered."""

    job: Job
    previous_id: str | None = None
    response_id: str | None = None
    answered_at: float | None = None
    """When the id was received."""
    connections: list[Connection] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    cancelled_at: float | None = None
    """When a cancel was answered with `cancelled`."""
    deleted_at: float | None = None
    """When a delete was answered with 200."""
    delete_asked_at: float | None = None
    left_at: float | None = None
    """When the connection of a foreground request broke: it is cancelled then."""
    found_after_delete: list[int] = field(default_factory=list)
    """Status codes of reads after the delete was answered."""
    ids_of_key: set[str] = field(default_factory=set)
    """Every id that was answered under its one Idempotency-Key."""
    bad_answers: list[str] = field(default_factory=list)
    """Answers that no fault excuses."""

    @property
    def events(self) -> list[Received]:
        """The events as the client put them together: each connection goes on after the last."""
        return [event for connection in self.connections for event in connection.events]


def seen_of(body: dict[str, object], at: float, source: str) -> Seen:
    """What an answer's response object says."""
    return Seen(at, str(body["status"]), output_text(body), source)


def output_text(body: dict[str, object]) -> str:
    """The text of all output messages of a response object."""
    output = body["output"]
    assert isinstance(output, list)
    return "".join(part["text"] for item in output for part in item.get("content", ()))
