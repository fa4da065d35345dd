"""Places of projects that may run only so many responses at a time (`max_running`)."""

LIMITED_PROJECTS = """
    running_anywhere AS MATERIALIZED (
        SELECT model, project_id, end_user, priority < 0 AS is_flex, count(*) AS num
        FROM responses WHERE project_id IS NOT NULL AND status = 'in_progress'
        GROUP BY model, project_id, end_user, priority < 0
    ), limited AS MATERIALIZED (
        SELECT p.project_id, p.max_running,
               greatest(p.max_running - coalesce(run.num, 0), 0) AS num_free
        FROM projects p LEFT JOIN (
            SELECT project_id, sum(num) AS num FROM running_anywhere GROUP BY project_id
        ) run ON run.project_id = p.project_id
        WHERE p.project_id IS NOT NULL AND p.max_running IS NOT NULL
    )
"""
"""Expressions of a `WITH`: all that runs, and the projects with this limit.

Another claim may have taken the places that are free in this snapshot: `TAKE_PLACE` sees that.
"""

# Only once a row has been found: the lock on the project's places is kept until the commit.
TAKE_PLACE = """
    CROSS JOIN LATERAL (
        SELECT next.id WHERE CASE WHEN p.max_running IS NULL THEN true
                                  ELSE take_place(p.project_id, p.max_running) END OFFSET 0
    ) place
"""
"""Join of the row `next` of a project `p` that is kept if the project may run another one.

`take_place` is a function of the migrations.
"""
