"""Who can reach a server, and if it may be open to them while no API key exists."""

from ipaddress import ip_address

from models.settings import Settings

_LOCALHOST = "localhost"


class NoKeyError(Exception):
    """Raised if a server would be open to other machines; the message says what to do."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"ANTIPHON_HOST={host!r}: no API key exists, so everyone who reaches this address "
            "could use the server. Create the first key while it listens on loopback, by "
            "`./antiphon keys create --scope admin --scope responses:read --scope responses:write`,"
            " or by ANTIPHON_BOOTSTRAP_KEY_FILE, which `migrate` writes a key into. "
            "ANTIPHON_OPEN_BEYOND_LOOPBACK=true leaves it open all the same."
        )


def is_loopback(host: str) -> bool:
    """Return True if only this machine can reach a server bound to `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == _LOCALHOST


def reachable_host(host: str) -> str:
    """Return the host under which this machine reaches a server bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def may_be_open(settings: Settings) -> bool:
    """Return True if the server needs no key while none exists."""
    return settings.open_beyond_loopback or is_loopback(settings.host)
