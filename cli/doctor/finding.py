"""Finding of a check, or the reason why there was nothing to look at."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, in one line, with its fix in another."""

    problem: str
    fix: str


class NotApplicable(Exception):  # noqa: N818 - it is no error
    """Raised by a check that has nothing to look at; the message says why."""
