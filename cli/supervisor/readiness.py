"""Address and readiness of the API of this machine."""

import http.client
import json
import ssl

from models.access.exposure import reachable_host
from models.settings import Settings

_TIMEOUT_S = 2


def base_url(settings: Settings) -> str:
    """Return the base URL for clients, without a trailing slash."""
    host = reachable_host(settings.host)
    host = f"[{host}]" if ":" in host else host
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


def readiness(settings: Settings) -> dict[str, bool] | None:
    """Return what `/readyz` says of each part; None if what listens there is no API of ours."""
    connection = _connect(settings)
    try:
        connection.request("GET", "/readyz")
        answer = json.loads(connection.getresponse().read())
        return {name: answer[name] for name in ("database", "redis", "worker")}
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None
    finally:
        connection.close()


def _connect(settings: Settings) -> http.client.HTTPConnection:
    """Return a connection; the certificate need not name the address that the API listens on."""
    host = reachable_host(settings.host)
    if settings.tls_cert_file is None:
        return http.client.HTTPConnection(host, settings.port, timeout=_TIMEOUT_S)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, settings.port, timeout=_TIMEOUT_S, context=context)
