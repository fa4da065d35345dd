"""Asking a running API whether it can serve."""

import http.client
import ipaddress

from models.settings import Settings

_LOCALHOST = "localhost"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == _LOCALHOST


def base_url(settings: Settings) -> str:
    """The address to give to clients, without a trailing slash."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def is_api_ready(settings: Settings) -> bool:
    """Whether `/readyz` says that database, Redis and a worker with loaded weights are there."""
    connection = http.client.HTTPConnection(settings.host, settings.port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
