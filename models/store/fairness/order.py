"""Order of claims: start-time fair queueing over projects, and over the end users of each.

Goyal, Vin and Cheng, "Start-time Fair Queueing", SIGCOMM 1996, with tokens for bytes as in Sheng et
al., "Fairness in Serving Large Language Models", OSDI 2024. The start tag of a flow's next response
is the flow's virtual time, and the estimated tokens of those that are running.
"""

from models.store.fairness.eligible import ELIGIBLE
from models.store.fairness.places import HAS_ROOM, RUNNING_ANYWHERE, TAKE_PLACE

_IN_ORDER = "start_tag, num, lot"
"""Ties go to the flow with fewer running responses, and are then decided by lot, in claims."""


def _least(table: str, project: str, flex: str) -> str:
    """Return the least virtual time of flows, at which one starts that has just become active."""
    return f"""
    (SELECT min(l.virtual_start + l.service) FROM {table} l
     WHERE l.project_id {project} AND l.model = :model AND l.is_flex{flex})
    """


_LEAST_OF_PROJECTS = f"""
    CASE WHEN f.is_flex THEN {_least("project_flows", "IS NOT NULL", "")}
         ELSE {_least("project_flows", "IS NOT NULL", " = false")} END
"""


def _mean(table: str, project: str, flex: str) -> str:
    """Return the mean estimate of flows, for one of which no response has ended as yet."""
    return f"""
    (SELECT avg(m.estimate) FROM {table} m
     WHERE m.project_id {project} AND m.model = :model AND m.is_flex{flex} AND m.estimate > 0)
    """


def _num_running(*keys: str) -> str:
    """Return the number of running responses of a flow `f`, which are few.

    Not a join: it would compare each flow with each of them if there are no statistics.
    """
    ours = ", ".join(f"f.{key}" for key in keys)
    equal = " AND ".join(f"run.{key} = f.{key}" for key in keys)
    return f"""
    CASE WHEN ({ours}) IN (SELECT {", ".join(keys)} FROM running)
         THEN (SELECT CAST(sum(run.num) AS bigint) FROM running run WHERE {equal}) ELSE 0 END
    """


def _projects(lot: str) -> str:
    return f"""
    {RUNNING_ANYWHERE}, running AS MATERIALIZED (
        SELECT project_id, end_user, is_flex, num FROM running_anywhere WHERE model = :model
    ), project_order AS (
        SELECT *, virtual_start + service AS virtual_time,
               virtual_start + service + num * estimate AS start_tag,
               CASE WHEN is_flex THEN -32768 ELSE 0 END AS lowest,
               CASE WHEN is_flex THEN -1 ELSE 32767 END AS highest
        FROM (
            SELECT f.project_id, f.is_flex, {lot} AS lot,
                   {_num_running("project_id", "is_flex")} AS num,
                   coalesce(nullif(f.estimate, 0),
                            {_mean("project_flows", "IS NOT NULL", " IS NOT NULL")},
                            0) AS estimate,
                   coalesce(f.virtual_start, {_LEAST_OF_PROJECTS}, 0) AS virtual_start,
                   f.virtual_start IS NULL AS is_new, f.service
            FROM project_flows f WHERE f.project_id IS NOT NULL AND f.model = :model
        ) flow
    )
    """


def users_of_project(lot: str = "f.end_user") -> str:
    """Return the flows of the end users of the project `p`, in no order."""
    return f"""
    SELECT *, virtual_start + service AS virtual_time,
           virtual_start + service + num * estimate AS start_tag
    FROM (
        SELECT f.end_user, {lot} AS lot,
               {_num_running("project_id", "is_flex", "end_user")} AS num,
               coalesce(nullif(f.estimate, 0),
                        {_mean("user_flows", "= p.project_id", " = p.is_flex")},
                        0) AS estimate,
               coalesce(f.virtual_start,
                        {_least("user_flows", "= p.project_id", " = p.is_flex")},
                        0) AS virtual_start, f.service
        FROM user_flows f
        WHERE f.project_id = p.project_id AND f.model = :model AND f.is_flex = p.is_flex
    ) flow
    """


_HAS_NEW_FLOWS = """
    (SELECT bool_or(o.is_new) FROM project_order o) OR EXISTS (
        SELECT FROM user_flows l
        WHERE l.project_id = p.project_id AND l.model = :model AND l.is_flex = p.is_flex
          AND l.virtual_start IS NULL)
"""


def fair_order(*, is_claim: bool) -> str:
    """Return expressions of a `WITH`, among them `fair`: the next response in the fair order.

    Responses of the `flex` tier come after those of all other projects. Then the project decides,
    within it the highest priority, then the end user, then the age. Projects that run as many as
    they may are passed over. A claim locks the row, and passes over rows that another claim has
    locked; those of a project with such a limit wait for each other, in `take_place`.
    """
    lock = "FOR UPDATE SKIP LOCKED" if is_claim else ""
    place = TAKE_PLACE if is_claim else ""
    project_lot, user_lot = ("random()",) * 2 if is_claim else ("f.project_id", "f.end_user")
    return f"""
    {_projects(project_lot)}, fair AS (
        SELECT p.project_id, p.is_flex, p.num, p.start_tag,
               next.id, next.end_user, next.num AS user_num, next.start_tag AS user_start_tag,
               {_HAS_NEW_FLOWS} AS has_new_flows
        FROM (SELECT * FROM project_order ORDER BY is_flex, {_IN_ORDER}) p
        {HAS_ROOM}
        CROSS JOIN LATERAL (
            SELECT q.priority FROM responses q
            WHERE q.project_id = p.project_id AND {ELIGIBLE}
              AND q.priority BETWEEN p.lowest AND p.highest
            ORDER BY q.priority DESC LIMIT 1 {lock}
        ) top
        CROSS JOIN LATERAL (
            SELECT oldest.id, u.end_user, u.num, u.start_tag
            FROM ({users_of_project(user_lot)} ORDER BY {_IN_ORDER}) u
            CROSS JOIN LATERAL (
                SELECT q.id FROM responses q
                WHERE q.project_id = p.project_id AND {ELIGIBLE}
                  AND q.priority = top.priority AND q.end_user = u.end_user
                ORDER BY q.id LIMIT 1 {lock}
            ) oldest
            ORDER BY u.start_tag, u.num, u.lot LIMIT 1
        ) next
        {place}
        ORDER BY p.is_flex, p.start_tag, p.num, p.lot LIMIT 1
    )
    """


# Those that another claim has locked get it from that. Rows are found by where they are: a join
# might compare each with each.
START_FLOWS = f"""
    WITH project_started AS (
        UPDATE project_flows f SET virtual_start = coalesce({_LEAST_OF_PROJECTS}, 0)
        WHERE f.project_id IS NOT NULL AND f.ctid = ANY(ARRAY(
            SELECT l.ctid FROM project_flows l
            WHERE l.project_id IS NOT NULL AND l.model = :model AND l.virtual_start IS NULL
            FOR UPDATE SKIP LOCKED))
    )
    UPDATE user_flows f SET virtual_start = coalesce((
        SELECT min(l.virtual_start + l.service) FROM user_flows l
        WHERE l.project_id = :project_id AND l.model = :model AND l.is_flex = :is_flex), 0)
    WHERE f.project_id IS NOT NULL AND f.ctid = ANY(ARRAY(
        SELECT l.ctid FROM user_flows l
        WHERE l.project_id = :project_id AND l.model = :model AND l.is_flex = :is_flex
          AND l.virtual_start IS NULL
        FOR UPDATE SKIP LOCKED))
"""
"""Statement that keeps the virtual times at which flows have become active since the last claim: of
all projects, and of the end users of the one that was claimed from."""
