"""Charges: the tokens that a response has used are added to the service of its flows.

Parts of the statements that create, put back and end responses. All of them lock the flow of the
project before that of the end user, and several flows in order: none waits for another in a circle.
"""

from typing import Any

CACHED_FACTOR = 0.1
"""Charge for a prompt token that is found in the prefix cache: it occupies memory and is read by
attention, but is not computed."""
NUM_AVERAGED = 8
"""Number of responses over which the estimate of the next one's tokens is a moving average."""
FRESH_S = 1
"""Seconds for which a flow that has got a response counts as seen, so that others need not write
to its row. Far less than `models.store.fairness.flows.KEPT_S`."""


def cost_of(usage: dict[str, Any] | None) -> float:
    """Return the tokens to charge for a usage: those of prompt and output, cached ones in part."""
    if not usage:
        return 0.0
    cached = usage["input_tokens_details"]["cached_tokens"]
    return float(usage["total_tokens"] - cached + CACHED_FACTOR * cached)


ENTER_FLOWS = f"""
    project_flow AS (
        INSERT INTO project_flows (model, is_flex, project_id)
        SELECT c.model, c.priority < 0, c.project_id FROM created c
        WHERE NOT c.deferred AND NOT EXISTS (
            SELECT FROM project_flows f
            WHERE f.model = c.model AND f.is_flex = (c.priority < 0)
              AND f.project_id = c.project_id
              AND f.seen_at > now() - interval '{FRESH_S} s')
        ON CONFLICT (model, is_flex, project_id) DO UPDATE SET seen_at = now()
        RETURNING project_id
    ), user_flow AS (
        INSERT INTO user_flows (model, is_flex, project_id, end_user)
        SELECT c.model, c.priority < 0, c.project_id, c.end_user FROM created c
        WHERE (SELECT count(*) FROM project_flow) >= 0 AND NOT c.deferred AND NOT EXISTS (
            SELECT FROM user_flows f
            WHERE f.model = c.model AND f.is_flex = (c.priority < 0)
              AND f.project_id = c.project_id AND f.end_user = c.end_user
              AND f.seen_at > now() - interval '{FRESH_S} s')
        ON CONFLICT (model, is_flex, project_id, end_user) DO UPDATE SET seen_at = now()
    )
"""
"""Expressions of a `WITH` that make the flows of the row `created` known to claims, unless it is
deferred."""

_AVERAGE = f"""
    CASE WHEN excluded.estimate = 0 THEN f.estimate
         WHEN f.estimate = 0 THEN excluded.estimate
         ELSE f.estimate + (excluded.estimate - f.estimate) / {NUM_AVERAGED} END
"""

CHARGED_BEFORE = """
    before AS MATERIALIZED (
        SELECT r.project_id, r.id, r.charged FROM responses r
        JOIN unnest(CAST(:ids AS uuid[]), CAST(:attempts AS int[])) AS held (id, attempt)
          ON r.id = held.id AND r.attempt = held.attempt
        WHERE r.project_id = :project_id AND r.status = 'in_progress' ORDER BY r.id FOR UPDATE OF r
"""
"""Beginning of an expression of a `WITH`, which locks the running responses of current attempts."""

CHARGE_FLOWS = f"""
    project_charge AS (
        INSERT INTO project_flows AS f (model, is_flex, project_id, service, estimate)
        SELECT due.model, due.is_flex, due.project_id, sum(due.tokens) / p.weight,
               coalesce(avg(due.whole), 0) / p.weight
        FROM due JOIN projects p ON p.project_id = due.project_id
        GROUP BY due.model, due.is_flex, due.project_id, p.weight
        ORDER BY due.model, due.is_flex, due.project_id
        ON CONFLICT (model, is_flex, project_id)
        DO UPDATE SET service = f.service + excluded.service, estimate = {_AVERAGE}
        RETURNING f.project_id
    ), user_charge AS (
        INSERT INTO user_flows AS f (model, is_flex, project_id, end_user, service, estimate)
        SELECT due.model, due.is_flex, due.project_id, due.end_user, sum(due.tokens),
               coalesce(avg(due.whole), 0)
        FROM due WHERE (SELECT count(*) FROM project_charge) >= 0
        GROUP BY due.model, due.is_flex, due.project_id, due.end_user
        ORDER BY due.model, due.is_flex, due.project_id, due.end_user
        ON CONFLICT (model, is_flex, project_id, end_user)
        DO UPDATE SET service = f.service + excluded.service, estimate = {_AVERAGE}
    )
"""
"""Expressions of a `WITH` that add the `tokens` of the rows `due` to the service of their flows.

`whole` is the tokens of a whole response, and null for one that has not ended.
"""
