"""Settings of this machine for commands, which exit with code 2 if they are invalid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.client.output import WRONG_USE, fail

if TYPE_CHECKING:
    from models.settings import Settings


def local_settings() -> Settings:
    """Return the settings."""
    from models.settings import SettingsError, load_settings
    from models.tracing.tracer import check_packages

    try:
        settings = load_settings()
        check_packages(settings)
    except SettingsError as error:
        fail(str(error), code=WRONG_USE)
    return settings
