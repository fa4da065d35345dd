"""Cause of the end of a response: its terminal status, with the fields that explain it."""

from dataclasses import dataclass

from models.responses.status import ResponseStatus
from models.schemas.response import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingCause:
    """Terminal status of a response, with the fields that explain it."""

    status: ResponseStatus
    usage: Usage | None = None
    error: dict[str, str] | None = None
    incomplete_details: dict[str, str] | None = None

    @property
    def has_output(self) -> bool:
        """Return True if the output is whole, or was cut off at its limit."""
        is_cut = self.incomplete_details == {"reason": "max_output_tokens"}
        return self.status is ResponseStatus.COMPLETED or is_cut


def failed_cause(message: str, usage: Usage | None = None) -> EndingCause:
    """Return the cause of the end of a response that has failed."""
    error = {"code": "server_error", "message": message}
    return EndingCause(status=ResponseStatus.FAILED, usage=usage, error=error)


def incomplete_cause(reason: str, usage: Usage | None = None) -> EndingCause:
    """Return the cause of the end of a response that was cut off."""
    return EndingCause(
        status=ResponseStatus.INCOMPLETE, usage=usage, incomplete_details={"reason": reason}
    )
