"""Plain requests to a server, for the commands on what the official client does not know."""

from typing import Any

from cli.client.clean_text import clean_line
from cli.client.output import fail
from cli.client.target import Target, find_target

TIMEOUT_S = 30.0
"""Timeout of a request to the API, in seconds."""


class NoAnswerError(Exception):
    """Raised if no server answers at the address."""


class ApiClient:
    """Requests to one server with one key."""

    def __init__(self, server: str, key: str) -> None:
        """Create a client; by default of the server that the environment or this machine names."""
        self._server = server
        self._key = key

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the parsed answer; exit with code 1 on an error or no answer.

        Exits with code 2 if the settings are invalid.
        """
        try:
            return self.request(method, path, body)
        except NoAnswerError as error:
            fail(str(error))

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Do the same, but raise `NoAnswerError` if no server answers."""
        answer = self.send(method, path, body)
        if answer.is_error:
            fail(message_of(answer.status_code, _error_of(answer)))
        return answer.json()

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the answer, also one that is an error; raise `NoAnswerError` without any."""
        import httpx2

        target = resolve_target(self._server, self._key)
        headers = {"authorization": f"Bearer {target.key}"} if target.key else {}
        try:
            return httpx2.request(
                method,
                target.url + path,
                json=body,
                headers=headers,
                timeout=TIMEOUT_S,
                verify=must_verify(target),
            )
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise NoAnswerError(no_answer(target, str(error))) from None


def resolve_target(base_url: str, api_key: str) -> Target:
    """Return the server to call; exit with code 2 if the settings are invalid."""
    from models.settings import SettingsError

    try:
        return find_target(base_url, api_key)
    except SettingsError as error:
        fail(str(error), code=2)


def must_verify(target: Target) -> bool:
    """Return False for the server of this machine, whose certificate has another name."""
    return not target.is_local


def no_answer(target: Target, reason: str) -> str:
    """Return the message for a server that does not answer."""
    fix = "start it: ./antiphon up" if target.is_local else f"see {target.url_origin}"
    return f"no answer from {target.url}: {reason}; {fix}"


def message_of(status: int, error: dict[str, Any] | None) -> str:
    """Return the message of an error of the API in one line, with what to do about it."""
    if error is None:
        # It is another program that answers there.
        return f"what answered {status} is no Antiphon; --base-url names another server"
    fix = {
        401: "name a key by --api-key or ANTIPHON_API_KEY; ./antiphon keys create makes one",
        404: "./antiphon ls lists what is stored" if "Response" in str(error) else "",
        429: "try again later",
        503: "try again later; ./antiphon doctor says what is wrong",
    }.get(status, "")
    message = clean_line(str(error.get("message")))
    return f"{message.rstrip('.')}; {fix}" if fix else message


def _error_of(answer: Any) -> dict[str, Any] | None:
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return None
    return error if isinstance(error, dict) else None
