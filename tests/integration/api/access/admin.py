"""Client of the admin API in tests, as if on loopback."""

from typing import Any

from flask.testing import FlaskClient

from tests.integration.api.requests import parsed


def on_loopback(http: FlaskClient) -> FlaskClient:
    """Let a test client's requests arrive at a loopback address."""
    http.environ_base["antiphon.local_address"] = "127.0.0.1"
    return http


class AdminClient:
    """Requests that must succeed."""

    def __init__(self, http: FlaskClient, headers: dict[str, str] | None = None) -> None:
        self.http = on_loopback(http)
        self.headers = headers or {}

    def get(self, path: str) -> Any:
        """Read something."""
        return self._call("GET", path)

    def post(self, path: str, **body: Any) -> Any:
        """Create or change something."""
        return self._call("POST", path, body)

    def delete(self, path: str) -> Any:
        """Delete something."""
        return self._call("DELETE", path)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        url = f"/admin/v1/{path}"
        answer = self.http.open(url, method=method, json=body, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return parsed(answer)
