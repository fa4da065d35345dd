"""Columns of `responses`, and conversion of its rows to `ResponseRecord`."""

import base64
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, TextualSelect, column, text

from models.encryption.vault import SecretVault, VaultError, owner_of_response, owner_of_tools
from models.limits.amounts import Reservation
from models.responses.checkpoint import Checkpoint
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.content.codec import CHECKPOINT, ContentCodec
from models.store.content.row_cipher import RowCipher

COLUMNS = """
    r.id, r.project_id, r.model, r.status, r.background, r.store, r.attempt, r.priority,
    r.cancel_requested, r.content_key,
    r.created_at, r.parameters, r.metadata, r.previous_response_id, r.conversation_id,
    r.finished_at, r.usage, r.error, r.incomplete_details, r.not_before, r.end_user
"""

CLAIM_COLUMNS = f"""
    {COLUMNS}, r.checkpoint, r.isolated, r.tool_secrets, r.calls_begun, r.reservation,
    r.charged, r.traceparent
"""
"""Columns for the process that claims or takes over a response: more than readers get."""

OUTPUT = """
    (SELECT coalesce(json_agg(i.body ORDER BY i.position), '[]') FROM items i
     WHERE i.project_id = r.project_id AND i.response_id = r.id AND i.direction = 'output')
    AS output
"""

# With a parameter instead of a column, Postgres can prune partitions when it plans.
OUTPUT_OF_ID = OUTPUT.replace("r.id", ":id")

_NAMES = [name.strip().removeprefix("r.") for name in COLUMNS.split(",")]


def select_records(sql: str, *more: str) -> TextualSelect:
    """Return a statement whose rows have `COLUMNS`, then the columns named in `more`.

    Declaring them spares SQLAlchemy from detecting the columns at every execution.
    """
    return text(sql).columns(*map(column, (*_NAMES, *more)))


def to_record(row: Row[Any], vault: SecretVault, codec: ContentCodec) -> ResponseRecord:
    """Convert a row selected with `COLUMNS`, and optionally `OUTPUT`, to a record.

    It may need a connection to read a key of its content.
    """
    return as_record(dict(row._mapping), vault, codec)


def as_record(fields: dict[str, Any], vault: SecretVault, codec: ContentCodec) -> ResponseRecord:
    """Convert the columns of such a row to a record, likewise."""
    response_id = fields["id"]
    if fields["content_key"] is not None:
        fields["content_key"] = _content_key(response_id, fields["content_key"], vault)
    if "tool_secrets" in fields:
        fields["tool_secrets"] = _tool_secrets(response_id, fields["tool_secrets"], vault)
    fields = codec.read_fields(fields)
    if fields.get("checkpoint") is not None:
        fields["checkpoint"] = Checkpoint.from_bytes(fields["checkpoint"])
    if fields.get("reservation") is not None:
        fields["reservation"] = Reservation(**fields["reservation"])
    return ResponseRecord(**{**fields, "status": ResponseStatus(fields["status"])})


def _content_key(response_id: UUID, stored: bytes, vault: SecretVault) -> bytes | None:
    """Return the key of an unstored response's content; None if it cannot be decrypted."""
    try:
        return base64.b64decode(vault.decrypt(owner_of_response(response_id), stored.decode()))
    except (VaultError, ValueError):
        return None


def stored_content_key(record: ResponseRecord, vault: SecretVault) -> bytes | None:
    """Return the key of an unstored response's content in the form to store."""
    if record.content_key is None or record.store:
        return None
    key = base64.b64encode(record.content_key).decode()
    return vault.encrypt(owner_of_response(record.id), key).encode()


def _tool_secrets(response_id: UUID, stored: bytes | None, vault: SecretVault) -> dict[str, Any]:
    """Return the secrets of a response's tools; none if they cannot be decrypted."""
    if stored is None:
        return {}
    try:
        secrets: dict[str, Any] = orjson.loads(
            vault.decrypt(owner_of_tools(response_id), stored.decode())
        )
    except (VaultError, ValueError):
        return {}
    return secrets


def stored_checkpoint(record: ResponseRecord) -> bytes:
    """Return the checkpoint of a response in the form to store."""
    assert record.checkpoint is not None
    return RowCipher.of(record).write_bytes(CHECKPOINT, record.checkpoint.to_bytes())


def stored_tool_secrets(record: ResponseRecord, vault: SecretVault) -> bytes | None:
    """Return the secrets of a response's tools in the form to store, which is never clear text."""
    if not record.tool_secrets:
        return None
    if vault.key is None:
        raise VaultError("There is no key to encrypt the secrets of tools with.")
    secrets = orjson.dumps(record.tool_secrets).decode()
    return vault.encrypt(owner_of_tools(record.id), secrets).encode()
