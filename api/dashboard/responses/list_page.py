"""List of responses, which is brought up to date while somebody looks at it."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Response, request

from api.access.current import current_caller
from api.access.sessions import PATH
from api.dashboard.blueprint import blueprint
from api.dashboard.pages import render
from api.dashboard.responses.filters import (
    PAGE_SIZE,
    STATUS_NAMES,
    Filters,
    parse_cursor,
)
from api.services import project_id, services
from models.errors import InvalidRequestError
from models.ids import response_wire_id
from models.responses.record import ResponseRecord
from models.responses.status import TERMINAL

_AGES = ("15m", "1h", "24h", "7d", "30d")
_SEEN_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Row:
    """One response in the list."""

    record: ResponseRecord

    @property
    def id(self) -> str:
        """Id of the response."""
        return response_wire_id(self.record.id)

    @property
    def duration_s(self) -> float:
        """Seconds from its creation to its end, or to now."""
        return (
            (self.record.finished_at or datetime.now(UTC)) - self.record.created_at
        ).total_seconds()

    @property
    def is_active(self) -> bool:
        """True if it has not ended."""
        return self.record.status not in TERMINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of the list."""

    rows: list[Row]
    filters: Filters
    is_first: bool
    next_after: str
    """Cursor of the next page; empty if this is the last one."""


@blueprint.get(f"{PATH}/responses")
def list_responses() -> str | Response:
    """Show the page of the list that the address names."""
    filters = Filters.of(request.args)
    try:
        page, problem = _read_page(filters), None
    except InvalidRequestError as error:
        page, problem = Page(rows=[], filters=filters, is_first=True, next_after=""), error
    models = services().model_names(current_caller().project)
    choices = {"statuses": STATUS_NAMES, "ages": _AGES, "models": models}
    seen = _digest(page)
    html = render(
        "responses.html",
        page=page,
        rows=_render_rows(page, seen),
        seen=seen,
        problem=problem,
        filters=filters,
        **choices,
    )
    return Response(html, 400 if problem else 200)


@blueprint.get(f"{PATH}/responses/rows")
def poll_responses() -> str | Response:
    """Return the rows of a page, or nothing at all if they are as they were `seen`."""
    asked = sorted((key, value) for key, value in request.args.items(multi=True) if key != "seen")
    key = "responses", project_id(), request.host, *asked
    seen, rows = services().shared_views.get(key, _poll_page)
    return Response(status=204) if request.args.get("seen") == seen else rows


def _poll_page() -> tuple[str, str]:
    """Return a digest of the rows that are asked for, and the rows."""
    page = _read_page(Filters.of(request.args))
    seen = _digest(page)
    return seen, _render_rows(page, seen)


def _read_page(filters: Filters) -> Page:
    after = parse_cursor(request.args.get("after", ""))
    list_filter = filters.to_list_filter(after=after, limit=PAGE_SIZE + 1)
    found = services().store.lists.read_page(project_id(), list_filter, has_output=False)
    shown = found[:PAGE_SIZE]
    has_more = len(found) > PAGE_SIZE
    return Page(
        rows=[Row(record) for record in shown],
        filters=filters,
        is_first=after is None,
        next_after=response_wire_id(shown[-1].id) if has_more else "",
    )


def _digest(page: Page) -> str:
    """Return a digest of what the rows of a page show."""
    shown = [
        (row.id, row.record.status, row.record.attempt, int(row.duration_s) if row.is_active else 0)
        for row in page.rows
    ]
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:_SEEN_LENGTH]


def _render_rows(page: Page, seen: str) -> str:
    return render("response_rows.html", page=page, seen=seen)
