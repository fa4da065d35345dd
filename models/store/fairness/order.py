"""Order of claims: start-time fair queueing over projects, and over the end users of each.

Goyal, Vin and Cheng, "Start-time Fair Queueing", SIGCOMM 1996, with tokens for bytes as in Sheng et
al., "Fairness in Serving Large Language Models", OSDI 2024. The start tag of a flow's next response
is the flow's virtual time, and the estimated tokens of those that are running.
"""

from models.store.fairness.places import LIMITED_PROJECTS, TAKE_PLACE

_IN_ORDER = "start_tag, num, lot"
"""Ties go to the flow with fewer running responses, and are then decided by lot, in claims."""


def _least(table: str, project: str, flex: str) -> str:
    """Return the least virtual time of flows, at which one starts that has just become active."""
    return f"""
    (SELECT min(l.virtual_start + l.service) FROM {table} l
     WHERE l.project_id {project} AND l.model = :model AND l.is_flex{flex})
    """


def _mean(table: str, project: str, flex: str) -> str:
    """Return the mean estimate of flows, for one of which no response has ended as yet."""
    return f"""
    (SELECT avg(m.estimate) FROM {table} m
     WHERE m.project_id {project} AND m.model = :model AND m.is_flex{flex} AND m.estimate > 0)
    """


def _projects(lot: str) -> str:
    return f"""
    {LIMITED_PROJECTS}, running AS (
        SELECT project_id, end_user, is_flex, num FROM running_anywhere WHERE model = :model
    ), project_order AS (
        SELECT *, virtual_start + service AS virtual_time,
               virtual_start + service + num * estimate AS start_tag,
               CASE WHEN is_flex THEN -32768 ELSE 0 END AS lowest,
               CASE WHEN is_flex THEN -1 ELSE 32767 END AS highest
        FROM (
            SELECT f.project_id, f.is_flex, coalesce(run.num, 0) AS num, {lot} AS lot,
                   coalesce(nullif(f.estimate, 0),
                            {_mean("project_flows", "IS NOT NULL", " IS NOT NULL")},
                            0) AS estimate,
                   limited.max_running, coalesce(limited.num_free = 0, false) AS is_full,
                   coalesce(f.virtual_start,
                            CASE WHEN f.is_flex
                                 THEN {_least("project_flows", "IS NOT NULL", "")}
                                 ELSE {_least("project_flows", "IS NOT NULL", " = false")} END,
                            0) AS virtual_start,
                   f.virtual_start IS NULL AS is_new, f.service
            FROM project_flows f LEFT JOIN (
                SELECT project_id, is_flex, CAST(sum(num) AS bigint) AS num
                FROM running GROUP BY project_id, is_flex
            ) run ON run.project_id = f.project_id AND run.is_flex = f.is_flex
            LEFT JOIN limited ON limited.project_id = f.project_id
            WHERE f.project_id IS NOT NULL AND f.model = :model
        ) flow
    )
    """


def users_of_project(lot: str = "f.end_user") -> str:
    """Return the flows of the end users of the project `p`, in no order."""
    return f"""
    SELECT *, virtual_start + service AS virtual_time,
           virtual_start + service + num * estimate AS start_tag
    FROM (
        SELECT f.end_user, coalesce(run.num, 0) AS num, {lot} AS lot,
               coalesce(nullif(f.estimate, 0),
                        {_mean("user_flows", "= p.project_id", " = p.is_flex")},
                        0) AS estimate,
               coalesce(f.virtual_start,
                        {_least("user_flows", "= p.project_id", " = p.is_flex")},
                        0) AS virtual_start, f.service
        FROM user_flows f LEFT JOIN running run
          ON run.project_id = f.project_id AND run.is_flex = f.is_flex
         AND run.end_user = f.end_user
        WHERE f.project_id = p.project_id AND f.model = :model AND f.is_flex = p.is_flex
    ) flow
    """


# Queued, and nothing keeps this worker from running it.
_ELIGIBLE = """
    q.model = :model AND q.status = 'queued'
    AND CASE WHEN q.isolated THEN :is_idle ELSE NOT :stands_by END
    AND (q.store OR NOT :only_stored)
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
               next.id, next.end_user, next.num AS user_num, next.start_tag AS user_start_tag
        FROM (SELECT * FROM project_order WHERE NOT is_full ORDER BY is_flex, {_IN_ORDER}) p
        CROSS JOIN LATERAL (
            SELECT q.priority FROM responses q
            WHERE q.project_id = p.project_id AND {_ELIGIBLE}
              AND q.priority BETWEEN p.lowest AND p.highest
            ORDER BY q.priority DESC LIMIT 1 {lock}
        ) top
        CROSS JOIN LATERAL (
            SELECT oldest.id, u.end_user, u.num, u.start_tag
            FROM ({users_of_project(user_lot)} ORDER BY {_IN_ORDER}) u
            CROSS JOIN LATERAL (
                SELECT q.id FROM responses q
                WHERE q.project_id = p.project_id AND {_ELIGIBLE}
                  AND q.priority = top.priority AND q.end_user = u.end_user
                ORDER BY q.id LIMIT 1 {lock}
            ) oldest
            ORDER BY u.start_tag, u.num, u.lot LIMIT 1
        ) next
        {place}
        ORDER BY p.is_flex, p.start_tag, p.num, p.lot LIMIT 1
    )
    """


# Rows that the previous release has written are not known to flows until maintenance has seen them.
# Those of projects with a limit wait for it.
ANY_ELIGIBLE = f"""
    SELECT q.project_id, q.id FROM responses q WHERE q.project_id IS NOT NULL AND {_ELIGIBLE}
      AND NOT EXISTS (SELECT FROM limited WHERE limited.project_id = q.project_id)
    LIMIT 1 FOR UPDATE SKIP LOCKED
"""

# Flows that have become active since the last claim keep the virtual time at which they did: of all
# projects, and of the end users of the one that is next. Those that another claim has locked get it
# from that.
START_FLOWS = f"""
    project_started AS (
        UPDATE project_flows f SET virtual_start = o.virtual_start
        FROM project_order o CROSS JOIN LATERAL (
            SELECT l.project_id FROM project_flows l
            WHERE l.model = :model AND l.is_flex = o.is_flex AND l.project_id = o.project_id
              AND l.virtual_start IS NULL FOR UPDATE SKIP LOCKED
        ) free
        WHERE o.is_new AND f.model = :model AND f.is_flex = o.is_flex
          AND f.project_id = o.project_id
    ), user_started AS (
        UPDATE user_flows f
        SET virtual_start = coalesce({_least("user_flows", "= p.project_id", " = p.is_flex")}, 0)
        FROM fair p CROSS JOIN LATERAL (
            SELECT l.end_user FROM user_flows l
            WHERE l.model = :model AND l.is_flex = p.is_flex AND l.project_id = p.project_id
              AND l.virtual_start IS NULL FOR UPDATE SKIP LOCKED
        ) free
        WHERE f.model = :model AND f.is_flex = p.is_flex AND f.project_id = p.project_id
          AND f.end_user = free.end_user
    )
"""
