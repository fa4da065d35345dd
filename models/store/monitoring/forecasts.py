"""States of the queue from which forecasts are made."""

from itertools import groupby
from operator import attrgetter

from sqlalchemy import text

from models.database.connection import Database
from models.forecast.flow_state import FlowState, ModelState
from models.forecast.own_queue import OwnGroup, OwnQueue

_NUM = """
    SELECT model, priority < 0 AS is_flex, project_id, count(*) AS num FROM responses
    WHERE project_id IS NOT NULL AND {condition}
    GROUP BY model, priority < 0, project_id
"""

# A flow without a virtual start gets the least one, as in claims.
_FLOWS = text(f"""
    WITH queued AS MATERIALIZED ({_NUM.format(condition="status = 'queued' AND NOT deferred")}),
    running AS MATERIALIZED ({_NUM.format(condition="status = 'in_progress'")}),
    least AS MATERIALIZED (
        SELECT model, min(virtual_start + service) AS virtual_time
        FROM project_flows WHERE project_id IS NOT NULL GROUP BY model
    )
    SELECT f.model, f.project_id, f.is_flex, f.service, f.estimate, p.weight, p.max_running,
           coalesce(f.virtual_start + f.service, l.virtual_time, 0) AS virtual_time,
           coalesce(q.num, 0) AS num_queued, coalesce(r.num, 0) AS num_running
    FROM project_flows f JOIN projects p ON p.project_id = f.project_id
    JOIN least l ON l.model = f.model
    LEFT JOIN queued q ON (q.model, q.is_flex, q.project_id) = (f.model, f.is_flex, f.project_id)
    LEFT JOIN running r ON (r.model, r.is_flex, r.project_id) = (f.model, f.is_flex, f.project_id)
    WHERE f.project_id IS NOT NULL ORDER BY f.model
""")

_WORKERS = text("""
    SELECT model, count(*) AS num FROM workers
    WHERE project_id IS NOT NULL AND lease_until > now() GROUP BY model
""")

_OWN = text("""
    WITH running AS (
        SELECT end_user, priority < 0 AS is_flex, count(*) AS num FROM responses
        WHERE project_id = :project_id AND model = :model AND status = 'in_progress'
        GROUP BY end_user, priority < 0
    ), queued AS (
        SELECT priority, end_user, array_agg(uuid_send(id) ORDER BY id) AS ids FROM responses
        WHERE project_id = :project_id AND model = :model AND status = 'queued' AND NOT deferred
        GROUP BY priority, end_user
    )
    SELECT q.priority, q.end_user, q.ids, f.virtual_start + f.service AS virtual_time,
           coalesce(f.estimate, 0) AS estimate, coalesce(r.num, 0) AS num_running,
           (SELECT count(DISTINCT u.end_user) FROM user_flows u
            WHERE u.project_id = :project_id AND u.model = :model) AS num_users
    FROM queued q
    LEFT JOIN user_flows f ON f.project_id = :project_id AND f.model = :model
     AND f.is_flex = (q.priority < 0) AND f.end_user = q.end_user
    LEFT JOIN running r ON r.end_user = q.end_user AND r.is_flex = (q.priority < 0)
""")


class ForecastStates:
    """Data access of the states that forecasts are made from."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_models(self) -> dict[str, ModelState]:
        """Return the state of all flows, by model."""
        with self._database.upkeep() as connection:
            workers = {row.model: row.num for row in connection.execute(_WORKERS)}
        with self._database.upkeep_join() as connection:
            rows = connection.execute(_FLOWS).all()
        flows: dict[str, tuple[FlowState, ...]] = dict.fromkeys(workers, ())
        for model, of_model in groupby(rows, key=attrgetter("model")):
            flows[model] = tuple(
                FlowState(
                    **{name: value for name, value in row._mapping.items() if name != "model"}
                )
                for row in of_model
            )
        return {
            model: ModelState(flows=found, num_workers=workers.get(model, 0))
            for model, found in flows.items()
        }

    def of_project(self, project_id: str, model: str) -> OwnQueue:
        """Return what a project has queued for a model, without what is deferred."""
        values = {"project_id": project_id, "model": model}
        with self._database.statement(project_id) as connection:
            rows = [dict(row._mapping) for row in connection.execute(_OWN, values)]
        num_users = max((row.pop("num_users") for row in rows), default=0)
        return OwnQueue([OwnGroup(**row) for row in rows], num_users)
