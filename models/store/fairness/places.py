"""Places of projects that may run only so many responses at a time (`max_running`)."""

RUNNING_ANYWHERE = """
    running_anywhere AS MATERIALIZED (
        SELECT model, project_id, end_user, priority < 0 AS is_flex, count(*) AS num
        FROM responses WHERE project_id IS NOT NULL AND status = 'in_progress'
        GROUP BY model, project_id, end_user, priority < 0
    )
"""
"""Expression of a `WITH`: the number of running responses of each flow of an end user."""

LIMITED_PROJECTS = f"""
    {RUNNING_ANYWHERE}, limited AS MATERIALIZED (
        SELECT p.project_id, greatest(p.max_running - coalesce(run.num, 0), 0) AS num_free
        FROM projects p LEFT JOIN (
            SELECT project_id, sum(num) AS num FROM running_anywhere GROUP BY project_id
        ) run ON run.project_id = p.project_id
        WHERE p.project_id IS NOT NULL AND p.max_running IS NOT NULL
    )
"""
"""Expressions of a `WITH`: all that runs, and the places that projects with this limit have."""

# The offset keeps it a step of its own, in the order of the projects `p`.
HAS_ROOM = """
    CROSS JOIN LATERAL (
        SELECT l.max_running FROM projects l
        WHERE l.project_id = p.project_id AND (l.max_running IS NULL OR l.max_running > (
            SELECT coalesce(sum(run.num), 0) FROM running_anywhere run
            WHERE run.project_id = p.project_id)) OFFSET 0
    ) room
"""
"""Join that leaves those of the projects `p` that may run another response.

Another claim may have taken the place that is free in this snapshot: `TAKE_PLACE` sees that.
"""

# Only once a row has been found: the lock on the project's places is kept until the commit.
TAKE_PLACE = """
    CROSS JOIN LATERAL (
        SELECT next.id WHERE CASE WHEN room.max_running IS NULL THEN true
                                  ELSE take_place(p.project_id, room.max_running) END OFFSET 0
    ) place
"""
"""Join of the row `next` of a project `p` that is kept if the project may run another one.

`take_place` is a function of the migrations.
"""
