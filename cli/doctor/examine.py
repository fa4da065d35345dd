"""Examination of an installation: every check of the table, one after the other."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cli.doctor.finding import Finding, NotApplicable
from cli.doctor.installation import Installation
from cli.doctor.table import CHECKS, Check


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of one check."""

    check: Check
    findings: tuple[Finding, ...] = ()
    skipped: str | None = None
    """Why there was nothing to look at; None if there was."""


def examine(at: Installation, checks: Iterable[Check] = CHECKS) -> Iterator[Result]:
    """Yield the result of each check; one that breaks is a finding, and hides no other."""
    for check in checks:
        try:
            yield Result(check, findings=tuple(check.run(at)))
        except NotApplicable as reason:
            yield Result(check, skipped=str(reason))
        except Exception as error:
            fault = f"{type(error).__name__}: {' '.join(str(error).split())}"
            yield Result(check, (Finding(f"the check itself failed: {fault}", _REPORT),))


_REPORT = "see the other findings first; if there are none, report this"
