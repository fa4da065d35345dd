"""End of a process whose role in the database may not work for all projects."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

EXIT_REFUSED = 78
"""Exit code of a process that is configured wrongly: `EX_CONFIG` of sysexits.h."""


class UpkeepRefusedError(Exception):
    """Raised if the role of a worker or of maintenance may not work for all projects."""

    def __init__(self, role: str) -> None:
        super().__init__(
            f"The role '{role}' sees one project at a time, and this process works for all: set "
            "DATABASE_MAINTENANCE_URL to the address of the role 'antiphon_maintenance', or of the "
            "owner of the tables. A role made since the last `antiphon migrate` needs another."
        )


@contextmanager
def exit_if_refused() -> Iterator[None]:
    """Say why and exit if the context raises `UpkeepRefusedError`."""
    try:
        yield
    except UpkeepRefusedError as error:
        logger.critical("%s", error)
        sys.exit(EXIT_REFUSED)
