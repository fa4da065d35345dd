"""Filters of the list of responses, as they are in its address."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import urlencode
from uuid import UUID

from werkzeug.datastructures import MultiDict

from models.errors import InvalidRequestError
from models.ids import RESPONSE_PREFIX, parse_response_id
from models.responses.status import TERMINAL, ResponseStatus
from models.store.listing import ListFilter

PAGE_SIZE = 50
ACTIVE = "active"
"""Value of `status` that stands for all that has not ended."""
_STATUSES: Mapping[str, tuple[ResponseStatus, ...]] = {
    "": (),
    ACTIVE: tuple(status for status in ResponseStatus if status not in TERMINAL),
    **{status.value: (status,) for status in ResponseStatus},
}
STATUS_NAMES = tuple(_STATUSES)
_AGE = re.compile(r"([0-9]{1,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_ID = re.compile(f"(?:{RESPONSE_PREFIX})?([0-9a-f]{{0,32}})")
_MAX_VALUE = 512
_MAX_KEY = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Filters as people write them; an empty one lets everything pass."""

    status: str = ""
    model: str = ""
    meta: str = ""
    """One pair of metadata, as `key=value`."""
    id: str = ""
    """Beginning of an id."""
    since: str = ""
    """Age of the oldest response, such as `24h`."""

    @classmethod
    def of(cls, values: MultiDict[str, str]) -> Self:
        """Return the filters in an address or a form."""
        names = ("status", "model", "meta", "id", "since")
        return cls(**{name: values.get(name, "").strip() for name in names})

    @property
    def named(self) -> dict[str, str]:
        """The filters that are set."""
        pairs = {
            "status": self.status,
            "model": self.model,
            "meta": self.meta,
            "id": self.id,
            "since": self.since,
        }
        return {name: value for name, value in pairs.items() if value}

    def query(self, **more: str) -> str:
        """Return the query string of an address with these filters."""
        return urlencode(self.named | {name: value for name, value in more.items() if value})

    def to_list_filter(self, *, after: UUID | None = None, limit: int = PAGE_SIZE) -> ListFilter:
        """Return the filter of the store; raise a 400 that names what is no filter."""
        if self.status not in _STATUSES:
            raise InvalidRequestError(f"There is no status '{self.status}'.", param="status")
        return ListFilter(
            statuses=_STATUSES[self.status],
            model=self.model or None,
            metadata=_parse_pair(self.meta),
            created_since=_parse_age(self.since),
            id_prefix=_parse_prefix(self.id),
            after=after,
            limit=limit,
        )


def parse_cursor(wire_id: str) -> UUID | None:
    """Return the id after which a page begins; None for the first page."""
    if not wire_id:
        return None
    response_id = parse_response_id(wire_id)
    if response_id is None:
        raise InvalidRequestError("after must be the id of a response.", param="after")
    return response_id


def _parse_pair(text: str) -> dict[str, str]:
    if not text:
        return {}
    key, equals, value = text.partition("=")
    if not equals or not key or len(key) > _MAX_KEY or len(value) > _MAX_VALUE or "\0" in text:
        raise InvalidRequestError("Metadata is looked up as key=value.", param="meta")
    return {key: value}


def _parse_age(text: str) -> datetime | None:
    if not text:
        return None
    found = _AGE.fullmatch(text)
    if found is None:
        message = "since is an age in minutes, hours or days, such as 30m, 24h or 7d."
        raise InvalidRequestError(message, param="since")
    return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})


def _parse_prefix(text: str) -> str:
    found = _ID.fullmatch(text.lower())
    if found is None:
        message = "An id is resp_ and up to 32 hexadecimal digits."
        raise InvalidRequestError(message, param="id")
    return found[1]
