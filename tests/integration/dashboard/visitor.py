"""Visitor of the dashboard: a client that keeps cookies, and sends forms with their tokens."""

import re
from dataclasses import dataclass

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.http.origins import LOCAL_ADDRESS
from models.access.tokens import Token

_TOKEN = re.compile(r'<meta name="csrf-token" content="([^"]+)">')
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
"""Headers of a browser that navigates."""


@dataclass
class Visitor:
    """Somebody with a browser."""

    http: FlaskClient
    base_url: str = "http://localhost"

    def __post_init__(self) -> None:
        """Connect from the server's own machine, as the pages of operators need."""
        self.http.environ_base[LOCAL_ADDRESS] = "127.0.0.1"

    def open(self, path: str, **headers: str) -> TestResponse:
        """Go to a page."""
        return self.http.get(path, base_url=self.base_url, headers=BROWSER | headers)

    def page(self, path: str) -> str:
        """Return a page, which must be there."""
        answer = self.open(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def token(self, path: str = "/dashboard/login") -> str:
        """Return the token in the forms of a page."""
        answer = self.open(path)
        page = self.open(answer.location) if answer.location else answer
        found = _TOKEN.search(page.text)
        assert found, page.text
        return found[1]

    def send(self, path: str, **fields: str) -> TestResponse:
        """Send a form of a page, with its token."""
        fields = {"csrf_token": self.token()} | fields
        return self.http.post(path, base_url=self.base_url, data=fields, headers=BROWSER)

    def sign_in(self, token: Token, target: str = "") -> TestResponse:
        """Send the form to sign in."""
        return self.send("/dashboard/login", key=token.reveal(), target=target)
