"""Address and readiness of the API of this machine."""

import http.client
import ipaddress
import ssl

from models.settings import Settings

_LOCALHOST = "localhost"
_TIMEOUT_S = 2


def is_loopback(host: str) -> bool:
    """Return True if only this machine can reach a server bound to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == _LOCALHOST


def base_url(settings: Settings) -> str:
    """Return the base URL for clients, without a trailing slash."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "http" if settings.tls_cert_file is None else "https"
    return f"{scheme}://{host}:{settings.port}"


def is_api_ready(settings: Settings) -> bool:
    """Return True if `/readyz` reports the database, Redis and a worker with loaded weights."""
    connection = _connect(settings)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _connect(settings: Settings) -> http.client.HTTPConnection:
    """Return a connection; the certificate need not name the address that the API listens on."""
    if settings.tls_cert_file is None:
        return http.client.HTTPConnection(settings.host, settings.port, timeout=_TIMEOUT_S)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(
        settings.host, settings.port, timeout=_TIMEOUT_S, context=context
    )
