"""Statements that create queued responses with their input items, from rows in JSON.

A row in JSON is one parameter instead of twenty, however many rows there are.
"""

from collections.abc import Sequence

from sqlalchemy import TextClause, text

from models.store.fairness.charges import ENTER_FLOWS

# What columns of type json hold are texts of their own in the row: that way they are stored as they
# were sent, to the last escape.
_NEW = """
    new AS (
        SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS given (
            id uuid, model text, background bool, store bool, priority smallint,
            previous_response_id uuid, conversation_id uuid, metadata text, parameters text,
            content_key bytea, tool_secrets bytea, created_at timestamptz, reservation text,
            end_user bigint, traceparent text, not_before timestamptz, items text)
        {limit}
    ),
"""
_LOCKED = """
    locked AS (
        UPDATE conversations c SET running_id = new.id FROM new
        WHERE c.project_id = :project_id AND c.id = new.conversation_id AND c.running_id IS NULL
        RETURNING c.id
    ),
"""
_CREATED = """
    created AS (
        INSERT INTO responses (id, project_id, model, status, background, store, priority,
                               previous_response_id, conversation_id, metadata, parameters,
                               content_key, tool_secrets, created_at, reservation, end_user,
                               traceparent, not_before, deferred)
        SELECT id, :project_id, model, 'queued', background, store, priority,
               previous_response_id, conversation_id, CAST(metadata AS json),
               CAST(parameters AS json), content_key, tool_secrets, created_at,
               CAST(reservation AS json), end_user, traceparent, not_before,
               not_before IS NOT NULL
        FROM new {condition}
        RETURNING id, project_id, model, priority, end_user, deferred
    ), written AS (
        INSERT INTO items (response_id, direction, position, project_id, body)
        SELECT created.id, 'input', item.position - 1, created.project_id, item.body
        FROM created JOIN new ON new.id = created.id, json_array_elements(CAST(new.items AS json))
            WITH ORDINALITY AS item (body, position)
    )
"""


def _creation(*, has_conversation: bool, enters_flows: bool) -> TextClause:
    """Return a statement that creates responses; each part that it lacks is time saved.

    One statement is one transaction: the rows and their items are written together or not at all,
    and so is the lock on a conversation, which is released when the response ends.
    """
    condition = "WHERE EXISTS (SELECT FROM locked)" if has_conversation else ""
    # Postgres expects a hundred rows of any JSON, and would read whole tables for so many.
    new = _NEW.format(limit="LIMIT 1" if has_conversation or enters_flows else "")
    return text(
        f"WITH {new} {_LOCKED if has_conversation else ''} {_CREATED.format(condition=condition)}"
        f"{',' + ENTER_FLOWS if enters_flows else ''} SELECT id FROM created"
    )


_CREATE = {
    (has_conversation, enters_flows): _creation(
        has_conversation=has_conversation, enters_flows=enters_flows
    )
    for has_conversation in (False, True)
    for enters_flows in (False, True)
}


def creation(*, has_conversation: bool, enters_flows: bool) -> TextClause:
    """Return the statement for one response; without both, for any number of responses.

    It returns the ids of those that it has created: none if the conversation is unknown or another
    response is using it.
    """
    return _CREATE[has_conversation, enters_flows]


def parameters_of(project_id: str, rows: Sequence[bytes]) -> dict[str, str]:
    """Return the parameters of a creation of rows."""
    return {"project_id": project_id, "rows": f"[{b','.join(rows).decode()}]"}
