"""What a project has, by the kind of its id, and ids of the same forms that nothing has."""

from dataclasses import asdict, dataclass
from typing import Any

import orjson
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models.encryption.cipher import ContentCipher, new_encryption_key
from models.encryption.reasoning import encrypt_reasoning
from models.ids import (
    conversation_wire_id,
    endpoint_wire_id,
    new_id,
    new_item_id,
    output_item_id,
    response_wire_id,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """Ids of one of everything."""

    response: str
    output_item: str
    conversation: str
    conversation_item: str
    webhook_endpoint: str
    encrypted_content: str

    def replace_in(self, answer: str) -> str:
        """Return a text in which each of the ids is replaced by its kind."""
        for kind, value in asdict(self).items():
            answer = answer.replace(value, f"<{kind}>")
        return answer


def nothing() -> Belongings:
    """Return ids of the same forms that nothing has."""
    key = new_encryption_key()
    return Belongings(
        response=response_wire_id(new_id()),
        output_item=output_item_id("message", new_id(), 0),
        conversation=conversation_wire_id(new_id()),
        conversation_item=new_item_id("message"),
        webhook_endpoint=endpoint_wire_id(new_id()),
        encrypted_content=encrypt_reasoning(
            ContentCipher(lambda _: key), "nobody", "A secret thought."
        ),
    )


@dataclass(frozen=True, slots=True)
class Caller:
    """Client of the API with the header that it sends with every request."""

    http: FlaskClient
    headers: dict[str, str]

    def ask(self, method: str, path: str, body: Any = None, **more: str) -> TestResponse:
        """Send a request."""
        return self.http.open(path, method=method, json=body, headers=self.headers | more)

    def get(self, path: str) -> dict[str, Any]:
        """Return the object at a path, which must be there."""
        return _parsed(self.ask("GET", path))

    def post(self, path: str, body: Any) -> dict[str, Any]:
        """Post an object; return the answer, which must be no error."""
        return _parsed(self.ask("POST", path, body))


def _parsed(answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    value: dict[str, Any] = orjson.loads(answer.data)
    return value
