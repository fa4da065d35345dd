"""Where the admin API is answered: on loopback, and on further hosts that the operator names."""

from ipaddress import ip_address

from flask import Flask, request

from api.http.origins import ANY, LOCAL_ADDRESS, AllowedHosts
from models.errors import ForbiddenError
from models.settings import Settings

PATHS = ("/admin/", "/dashboard/admin/")
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host")


class AdminHostNotAllowedError(ForbiddenError):
    """The admin API is answered on loopback; ANTIPHON_ADMIN_HOSTS adds hosts."""

    default_code = "admin_host_not_allowed"


def install_admin_check(app: Flask, settings: Settings) -> None:
    """Refuse requests of the admin API that come by another way."""
    named = AllowedHosts(settings.admin_hosts)

    def check() -> None:
        if not request.path.startswith(PATHS):
            return
        host = request.environ.get("HTTP_HOST", "localhost")
        is_of_loopback = AllowedHosts(()).permits(host)
        is_named = ANY in named.names or (not is_of_loopback and named.permits(host))
        if not is_named and not (is_of_loopback and _is_on_loopback()):
            raise AdminHostNotAllowedError

    app.before_request(check)


def _is_on_loopback() -> bool:
    """Return True if both ends of the connection are on this machine, and no proxy is between.

    A proxy on this machine hides whom it speaks for unless it says so.
    """
    if any(name in request.headers for name in _FORWARDED):
        return False
    ends = (request.environ.get(LOCAL_ADDRESS), request.environ.get("REMOTE_ADDR"))
    return all(map(_is_loopback, ends))


def _is_loopback(address: str | None) -> bool:
    try:
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return False
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback
