"""The official OpenAI client, for the server that options, environment or this machine name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cli.client.api_client import message_of, must_verify, no_answer, resolve_target
from cli.client.clean_text import clean_line
from cli.client.output import fail

if TYPE_CHECKING:
    from openai import OpenAI

    from cli.client.target import Target

TIMEOUT_S = 60.0
"""Seconds without a byte after which a connection is lost: four times the keep-alive interval."""
PATIENCE_S = 60.0
"""Seconds for which a server that has answered before, and does not now, is tried again."""
MAX_RETRIES = 1
"""Times that a request is sent again which was not answered, or answered 429 or 5xx."""


class RequestFailedError(Exception):
    """Raised if the server refuses or does not answer; the message, one line, names the fix."""

    def __init__(self, message: str, *, may_pass: bool = False) -> None:
        """`may_pass` is True for an outage, as against a refusal."""
        super().__init__(clean_line(message))
        self.may_pass = may_pass


class Api:
    """Requests about responses, with their bodies and answers as JSON."""

    def __init__(
        self, base_url: str = "", api_key: str = "", *, max_retries: int = MAX_RETRIES
    ) -> None:
        self._target = resolve_target(base_url, api_key)
        self._client = _connect(self._target, max_retries)
        self.has_answered = False
        """True once the server has answered: until then, it may not be there at all."""

    @property
    def client(self) -> OpenAI:
        """The official client, which does not send anything again: for streams."""
        return self._client.with_options(max_retries=0)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def create(self, body: dict[str, Any]) -> Any:
        """Create a response, once, however often the request is sent again."""
        from uuid import uuid4

        options = {"headers": {"Idempotency-Key": str(uuid4())}}
        return self._call("post", "/responses", body=body, options=options)

    def get(self, path: str, query: dict[str, Any] | None = None) -> Any:
        """Return the answer to a GET."""
        return self._call("get", path, options={"params": query or {}})

    def cancel(self, response_id: str) -> Any:
        """Cancel a response; return it."""
        return self._call("post", path_of(response_id) + "/cancel")

    def retrieve(self, response_id: str) -> Any:
        """Return a response."""
        return self.get(path_of(response_id))

    def delete(self, response_id: str) -> Any:
        """Delete a response; return the confirmation."""
        return self._call("delete", path_of(response_id))

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Translate the errors of the client to `RequestFailedError`."""
        from openai import APIConnectionError, APIError, APIStatusError

        try:
            yield
        except APIConnectionError as error:
            reason = str(error.__cause__ or error)
            raise RequestFailedError(no_answer(self._target, reason), may_pass=True) from None
        except APIStatusError as error:
            body = error.body if isinstance(error.body, dict) else None
            message, is_outage = message_of(error.status_code, body), error.status_code >= 500
            raise RequestFailedError(message, may_pass=is_outage) from None
        except APIError as error:
            raise RequestFailedError(error.message) from None

    def _call(self, method: str, path: str, **more: Any) -> Any:
        with self.explained():
            answer = getattr(self._client, method)(path, cast_to=object, **more)
        if not isinstance(answer, dict):
            raise RequestFailedError(message_of(200, None))
        self.has_answered = True
        return answer


@contextmanager
def api(base_url: str, api_key: str) -> Iterator[Api]:
    """Provide the API; exit with code 1 and one line if it refuses or does not answer."""
    connected = Api(base_url, api_key)
    try:
        yield connected
    except RequestFailedError as error:
        fail(str(error))
    finally:
        connected.close()


def path_of(response_id: str) -> str:
    """Return the path of a response, whatever a person has typed as its id."""
    from urllib.parse import quote

    return f"/responses/{quote(response_id, safe='') or '-'}"


def _connect(target: Target, max_retries: int) -> OpenAI:
    import httpx2
    from openai import OpenAI

    http = httpx2.Client(verify=must_verify(target), timeout=httpx2.Timeout(TIMEOUT_S, connect=5.0))
    return OpenAI(
        base_url=target.base_url,
        api_key=target.key or "none",
        http_client=http,
        timeout=httpx2.Timeout(TIMEOUT_S, connect=5.0),
        max_retries=max_retries,
    )
