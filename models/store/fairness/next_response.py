"""Claim of the next response of a model: in fair order, or at once if there is nothing to order."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, TextualSelect, text

from models.database.connection import Database
from models.errors import UnavailableError
from models.store.fairness.order import START_FLOWS


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimStatements:
    """Statements that claim the next response of a model, with the same parameters.

    They write to no flows, so that a claim waits for no other one.
    """

    of_sole_flow: TextualSelect
    """Claims of the only flow that is known of the model."""
    in_order: TextualSelect
    """Claims in the order of flows; says in `has_new_flows` if some are to be started."""
    unknown: TextualSelect
    """Claims of what no flow knows."""


_START_FLOWS = text(START_FLOWS)

PAUSE_S = 1.0
"""Seconds for which one process leaves out a statement of a model that is of no use now."""


class NextResponse:
    """Claims the next queued response of a model, by the cheapest statement that finds it."""

    def __init__(self, database: Database, statements: ClaimStatements) -> None:
        self._database = database
        self._statements = statements
        self._sole_flows = _Pauses()
        self._unknown = _Pauses()

    def claim(self, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the columns of the response that is claimed; None if there is none to claim.

        `values` are the parameters of the statements. Flows that have become active are started.
        """
        with self._database.upkeep() as connection:
            row = self._first(connection, values)
        if row is None:
            return None
        fields = dict(row._mapping)
        if fields.pop("has_new_flows", False):
            self._start_flows(fields)
        return fields

    def _first(self, connection: Connection, values: Mapping[str, Any]) -> Row[Any] | None:
        model = values["model"]
        is_due = self._sole_flows.is_over(model)
        if is_due and (row := connection.execute(self._statements.of_sole_flow, values).first()):
            return row
        if row := connection.execute(self._statements.in_order, values).first():
            # There is something to order: the statement before it is of no use for some time.
            self._sole_flows.begin(model)
            return row
        if self._unknown.is_over(model):
            self._unknown.begin(model)
            return connection.execute(self._statements.unknown, values).first()
        return None

    def _start_flows(self, claimed: Mapping[str, Any]) -> None:
        values = {
            "model": claimed["model"],
            "project_id": claimed["project_id"],
            "is_flex": claimed["priority"] < 0,
        }
        # Otherwise the next claim starts them; this one has taken effect.
        with suppress(UnavailableError), self._database.upkeep() as connection:
            connection.execute(_START_FLOWS, values)


class _Pauses:
    """Times until which a statement is left out, for each model."""

    def __init__(self) -> None:
        self._end_at: dict[str, float] = {}

    def begin(self, model: str) -> None:
        self._end_at[model] = time.monotonic() + PAUSE_S

    def is_over(self, model: str) -> bool:
        return time.monotonic() >= self._end_at.get(model, float("-inf"))
