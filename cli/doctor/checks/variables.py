"""Environment variables that nothing reads, as after a slip of the pen."""

from collections.abc import Iterator
from difflib import get_close_matches

from cli.doctor.finding import Finding
from cli.doctor.installation import Installation

_PREFIX = "ANTIPHON_"
_OF_CLIENTS = frozenset({"ANTIPHON_BASE_URL", "ANTIPHON_URL", "ANTIPHON_API_KEY"})


def unknown(at: Installation) -> Iterator[Finding]:
    """Look for variables with our prefix that are no settings."""
    from models.settings import Settings, variable_of

    known = {variable_of(name) for name in Settings.model_fields} | _OF_CLIENTS
    for variable in sorted(at.environ):
        if variable.upper().startswith(_PREFIX) and variable.upper() not in known:
            close = get_close_matches(variable.upper(), known, n=1)
            fix = f"did you mean {close[0]}?" if close else "docs/settings.md lists all settings"
            yield Finding(f"{variable} is no setting, and has no effect", fix)
