"""Address and readiness of the API of this machine."""

import http.client
import ipaddress

from models.settings import Settings

_LOCALHOST = "localhost"


def is_loopback(host: str) -> bool:
    """Return True if only this machine can reach a server bound to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == _LOCALHOST


def base_url(settings: Settings) -> str:
    """Return the base URL for clients, without a trailing slash."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def is_api_ready(settings: Settings) -> bool:
    """Return True if `/readyz` reports the database, Redis and a worker with loaded weights."""
    connection = http.client.HTTPConnection(settings.host, settings.port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
