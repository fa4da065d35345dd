"""Queued responses that a worker may claim, and those to which no order of flows applies."""

# Queued, and nothing keeps this worker from running it.
ELIGIBLE = """
    q.model = :model AND q.status = 'queued' AND NOT q.deferred
    AND CASE WHEN q.isolated THEN :is_idle ELSE NOT :stands_by END
    AND (q.store OR NOT :only_stored)
"""
"""Condition on a response `q`, with the parameters of a claim."""

# Those of a project with a limit wait for it, in the order of flows.
_HAS_NO_LIMIT = """
    NOT EXISTS (SELECT FROM projects l
                WHERE l.project_id = q.project_id AND l.max_running IS NOT NULL)
"""

NEXT_OF_SOLE_FLOW = f"""
    SELECT q.project_id, q.id FROM responses q
    WHERE q.project_id = (
        SELECT min(f.project_id) FROM (
            SELECT f.project_id, f.is_flex, f.virtual_start FROM project_flows f
            WHERE f.project_id IS NOT NULL AND f.model = :model LIMIT 2
        ) f
        HAVING count(*) = 1 AND count(f.virtual_start) = 1 AND bool_and((
            SELECT count(*) = 1 AND count(u.virtual_start) = 1 FROM (
                SELECT l.virtual_start FROM user_flows l
                WHERE l.project_id = f.project_id AND l.model = :model AND l.is_flex = f.is_flex
                LIMIT 2
            ) u)))
      AND {ELIGIBLE} AND {_HAS_NO_LIMIT}
    ORDER BY q.priority DESC, q.end_user, q.id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
"""Next response of a model of which one flow of one end user is known, and has started.

The order of flows, which takes several times as long, would find the same one. Nothing is found if
there are more flows, or fewer.
"""

# Rows that the previous release has written are not known to flows until maintenance has seen them.
ANY_ELIGIBLE = f"""
    SELECT q.project_id, q.id FROM responses q
    WHERE q.project_id IS NOT NULL AND {ELIGIBLE} AND {_HAS_NO_LIMIT}
    LIMIT 1 FOR UPDATE SKIP LOCKED
"""
