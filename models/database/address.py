"""Addresses of Postgres: one server, or the members of a cluster of which one is the primary."""

import re

from sqlalchemy.engine import URL, make_url

_MEMBERS = re.compile(r"(?P<start>[^:]+://(?:[^@/]*@)?)(?P<hosts>[^/?@]*,[^/?@]*)(?P<rest>.*)")


def sqlalchemy_url(url: str) -> URL:
    """Return the URL for SQLAlchemy; of several hosts, libpq then connects to the primary.

    Several hosts are written as for libpq: `postgresql://user@first:5432,second:5432/name`.
    """
    match = _MEMBERS.fullmatch(url)
    if match is None:
        return make_url(url)
    members = match["hosts"].split(",")
    parsed = make_url(f"{match['start']}{match['rest']}")
    attributes = {"target_session_attrs": "read-write", **parsed.query, "host": members}
    return parsed.set(query=attributes)
