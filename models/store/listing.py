"""Lists of a project's stored responses: filters, and pages in order of creation."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from models.database.connection import Database
from models.ids import id_floor
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.content.codec import ContentCodec
from models.store.content.row_cipher import as_json
from models.store.rows import COLUMNS, OUTPUT, to_record

# The ids are in order of creation, so that every list is read from an index in its order, and ends
# with its page. With several statuses, each is read so, and the pages are merged.
_READ = """
    SELECT {columns} FROM responses r {joins}
    WHERE r.project_id = :project_id AND r.store {where}
    ORDER BY r.id {order} LIMIT :limit
"""
_MERGE = """
    SELECT {columns}, {output} FROM ({reads}) r
    ORDER BY r.id {order} LIMIT :limit
"""

# A join: it returns the responses of a pair in order, so that only those of the page are read.
_HAS_PAIR = """
    JOIN response_metadata {name} ON {name}.response_id = r.id
     AND {name}.project_id = :project_id AND {name}.pair = metadata_pair(:{name}_key, :{name}_value)
"""
_MAX_JOINS = 3
"""Pairs of metadata that are looked up; of what has them, all pairs are compared."""
_HAS_METADATA = "CAST(r.metadata AS jsonb) @> CAST(:metadata AS jsonb)"

# Metadata is in the clear, or encrypted beside the digests of its pairs.
_HAS_PAIR_OR_DIGEST = """
    JOIN response_metadata {name} ON {name}.response_id = r.id
     AND {name}.project_id = :project_id
     AND {name}.pair IN (metadata_pair(:{name}_key, :{name}_value),
                         metadata_pair(:{name}_digest_key, :{name}_digest_value))
"""
_HAS_METADATA_OR_DIGESTS = f"""
    ({_HAS_METADATA} OR {_HAS_METADATA.replace(":metadata", ":digests")})
"""


_QUEUES = text("""
    SELECT model, count(*) FILTER (WHERE status = 'queued') AS num_queued,
           count(*) FILTER (WHERE status = 'in_progress') AS num_in_progress,
           CAST(extract(epoch FROM now() - min(greatest(created_at, not_before))
                            FILTER (WHERE status = 'queued' AND NOT deferred)) AS float) AS oldest_s
    FROM responses WHERE project_id = :project_id AND status IN ('queued', 'in_progress')
    GROUP BY model ORDER BY model
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelQueue:
    """What a project has waiting and running of one model."""

    model: str
    num_queued: int
    num_in_progress: int
    oldest_s: float | None
    """Seconds that the oldest queued response has waited; None if none does, but for its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilter:
    """Filter of a list of a project's responses, newest first unless `ascending`.

    `after` and `before` are ids, in the order of the list; with `before` alone, the list ends right
    before that id.
    """

    statuses: tuple[ResponseStatus, ...] = ()
    """Statuses that a response may have; any if empty."""
    model: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    """Metadata pairs that a response must have."""
    created_since: datetime | None = None
    created_before: datetime | None = None
    id_prefix: str = ""
    """First hexadecimal digits of the id."""
    after: UUID | None = None
    before: UUID | None = None
    ascending: bool = False
    limit: int = 20

    @property
    def is_backward(self) -> bool:
        """True if the list is read backward, from its cursor towards its beginning."""
        return self.before is not None and self.after is None

    @property
    def order(self) -> str:
        """The direction in which the list is read."""
        return "ASC" if self.ascending != self.is_backward else "DESC"


class ResponseLists:
    """Data access of lists of responses."""

    def __init__(self, database: Database, codec: ContentCodec) -> None:
        self._database = database
        self._codec = codec

    def read_page(
        self, project_id: str, list_filter: ListFilter, *, has_output: bool = True
    ) -> list[ResponseRecord]:
        """Return the project's stored responses that pass the filter, ordered by creation.

        They have their output only with `has_output`: it may be far more than all the rest.
        """
        sql, values = self._compose(project_id, list_filter, has_output)
        with self._database.search(project_id) as connection:
            rows = connection.execute(text(sql), values).all()
        records = [to_record(row, self._database.vault, self._codec) for row in rows]
        return records[::-1] if list_filter.is_backward else records

    def queues(self, project_id: str) -> list[ModelQueue]:
        """Return what the project has waiting and running of each model, if it has any."""
        with self._database.statement(project_id) as connection:
            rows = connection.execute(_QUEUES, {"project_id": project_id}).all()
        return [ModelQueue(**row._mapping) for row in rows]

    def _compose(
        self, project_id: str, list_filter: ListFilter, has_output: bool
    ) -> tuple[str, dict[str, Any]]:
        values: dict[str, Any] = {"project_id": project_id, "limit": list_filter.limit}
        digests = self._codec.metadata_digests(project_id, list_filter.metadata)
        joins, pairs = _metadata_joins(list_filter.metadata, digests)
        values |= pairs
        where = ""
        for condition, asked in _conditions(list_filter, digests):
            where += f" AND {condition}"
            values |= asked
        reads = []
        for number, status in enumerate(list_filter.statuses or (None,)):
            values |= {f"status{number}": status} if status else {}
            has_status = f" AND r.status = :status{number}" if status else ""
            parts = {"joins": joins, "where": has_status + where, "order": list_filter.order}
            reads.append(f"({_READ.format(columns=COLUMNS, **parts)})")
        output = OUTPUT if has_output else "CAST('[]' AS json) AS output"
        parts = {"reads": " UNION ALL ".join(reads), "order": list_filter.order}
        return _MERGE.format(columns=COLUMNS, output=output, **parts), values


def _conditions(
    list_filter: ListFilter, digests: dict[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the conditions of a filter, but for the status, with their values."""
    later, earlier = (">", "<") if list_filter.ascending else ("<", ">")
    if list_filter.model is not None:
        yield "r.model = :model", {"model": list_filter.model}
    if list_filter.metadata:
        yield _metadata_condition(list_filter.metadata, digests)
    if list_filter.after is not None:
        yield f"r.id {later} :after", {"after": list_filter.after}
    if list_filter.before is not None:
        yield f"r.id {earlier} :before", {"before": list_filter.before}
    if list_filter.created_since is not None:
        yield "r.id >= :since", {"since": id_floor(list_filter.created_since)}
    if list_filter.created_before is not None:
        yield "r.id < :until", {"until": id_floor(list_filter.created_before)}
    if list_filter.id_prefix:
        first = UUID(hex=list_filter.id_prefix.ljust(32, "0"))
        last = UUID(hex=list_filter.id_prefix.ljust(32, "f"))
        yield "r.id BETWEEN :first_id AND :last_id", {"first_id": first, "last_id": last}


def _metadata_condition(
    metadata: dict[str, str], digests: dict[str, str]
) -> tuple[str, dict[str, Any]]:
    """Return the condition that a response has all pairs, or, if it is encrypted, all digests."""
    if not digests:
        return _HAS_METADATA, {"metadata": as_json(metadata)}
    return _HAS_METADATA_OR_DIGESTS, {"metadata": as_json(metadata), "digests": as_json(digests)}


def _metadata_joins(
    metadata: dict[str, str], digests: dict[str, str]
) -> tuple[str, dict[str, str]]:
    """Return joins that find the responses with some of the pairs, and their values."""
    joins = ""
    values: dict[str, str] = {}
    join = _HAS_PAIR_OR_DIGEST if digests else _HAS_PAIR
    for number, pair in enumerate([*metadata.items()][:_MAX_JOINS]):
        joins += join.format(name=f"pair{number}")
        values |= {f"pair{number}_key": pair[0], f"pair{number}_value": pair[1]}
    for number, pair in enumerate([*digests.items()][:_MAX_JOINS]):
        values |= {f"pair{number}_digest_key": pair[0], f"pair{number}_digest_value": pair[1]}
    return joins, values
